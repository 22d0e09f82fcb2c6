"""From a flat program to a schedule of loops.

In order: ``separate`` (sums over rows that do not depend on the row), ``storage`` (where each
number lives), ``groups`` (operations that do the same to different numbers), ``drafts`` (a loop
nest out of a group), ``nests`` (what a schedule is made of: loop nests and straight-line chunks).
"""
