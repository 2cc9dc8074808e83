"""Arbitrary domains."""

from hypothesis import strategies as st

from recsearch.space import Bool, Choice, Float, Int

UNIT = st.floats(0, 1)


@st.composite
def ints(draw):
    scale = draw(st.sampled_from(["uniform", "log", "pow2"]))
    if scale == "pow2":
        low = draw(st.integers(0, 10))
        return Int(2**low, 2 ** draw(st.integers(low, 20)), "pow2")
    low = draw(st.integers(1 if scale == "log" else -1000, 1000))
    high = draw(st.integers(low, low + 5000))
    step = draw(st.none() | st.integers(1, 60)) if scale == "uniform" else None
    return Int(low, high, scale, step)


@st.composite
def floats(draw):
    scale = draw(st.sampled_from(["uniform", "log", "pow2"]))
    if scale == "pow2":
        low = draw(st.integers(-10, 10))
        return Float(2.0**low, 2.0 ** draw(st.integers(low, 20)), "pow2")
    bounds = st.floats(1e-12, 1e12) if scale == "log" else st.floats(-1e12, 1e12)
    low, high = sorted((draw(bounds), draw(bounds)))
    step = (high - low) / draw(st.integers(1, 500)) if scale == "uniform" else 0
    return Float(low, high, scale, draw(st.sampled_from([None, step])) if step > 0 else None)


SCALARS = st.text(max_size=4) | st.integers(-5, 5) | st.booleans()
CHOICES = st.lists(SCALARS, min_size=1, max_size=6, unique_by=lambda v: (type(v), v))
DOMAINS = st.one_of(ints(), floats(), st.just(Bool()), CHOICES.map(lambda c: Choice(tuple(c))))
