"""The Chain Rule

If `f` depends on `x1, ..., xn` and each of them on `t`, then `df/dt` is a sum with one term for
each: `df/dx1 · dx1/dt + df/dx2 · dx2/dt + ...`. In the graph that is one term for each child of
`t`.

Tasks:
- How many children has `t`? Find the line of the derivation with as many terms.
- Check `df/dt` by a small change: compute `f` at t = 2.001 and divide the difference by 0.001.
- Add a fourth way from `t` to `f`, such as `+ t`. Which term is new?
"""

from tinygrad_edu import Value, sin

t = Value(2.0)

x1 = t * t
x2 = sin(t)
x3 = 3 * t
f = x1 * x2 + x3

f.backward()
print(f"f = {f.data:.4f}, df/dt = {t.grad:.4f}")
