# verdict: not loaded
# says: class
