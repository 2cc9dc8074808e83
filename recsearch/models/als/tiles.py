"""Operations on tiles of vector registers, written as LLVM instructions.

A *tile* is a square of `LANES` vectors of `LANES` floats, stored one vector after another. A
compiler keeps no tile in registers by itself, so the instructions are emitted here; numba compiles
them into the functions that call them.

numba's cache notices changes of the file of a compiled function only: whoever changes this file
writes its new digest into ``kernels.py`` (a test says so).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16 if binding.get_host_cpu_features().get("avx512f") else 8
"""Floats of a vector: as many such vectors and a few more must fit in the registers."""

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_ONE = ir.Constant(_INT, 1)


Pointer: TypeAlias = Any
"""A place in an array, in code that emits instructions."""


class _Emitter:
    """Writes vector instructions at the place where ``builder`` is."""

    def __init__(self, builder: Any):
        self.builder = builder

    def load(self, base: Any, index: int = 0) -> Any:
        """The vector at ``base + index * LANES``."""
        return self.builder.load(self._vector(base, index), align=4)

    def store(self, vector: Any, base: Any, index: int = 0) -> None:
        self.builder.store(vector, self._vector(base, index), align=4)

    def _vector(self, base: Any, index: int) -> Any:
        return self.builder.bitcast(self.at(base, index * LANES), _VECTOR.as_pointer())

    def at(self, base: Any, offset: int) -> Any:
        return self.builder.gep(base, [ir.Constant(_INT, offset)])

    def vector_at(self, base: Any, index: Any) -> Any:
        """Pointer to the vector of a number known only when running."""
        return self.builder.gep(base, [self.builder.mul(index, ir.Constant(_INT, LANES))])

    def element(self, base: Any, offset: int) -> Any:
        """All lanes the float at ``base + offset``."""
        return self.splat(self.builder.load(self.at(base, offset)))

    def splat(self, scalar: Any) -> Any:
        return self.pick(self.insert(ir.Constant(_VECTOR, ir.Undefined), scalar, 0), 0)

    def pick(self, vector: Any, lane: int) -> Any:
        """All lanes what ``lane`` has."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [lane] * LANES)
        return self.builder.shuffle_vector(vector, ir.Constant(_VECTOR, ir.Undefined), mask)

    def insert(self, vector: Any, scalar: Any, lane: int) -> Any:
        return self.builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), lane))

    def extract(self, vector: Any, lane: int) -> Any:
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), lane))

    def keep(self, vector: Any, first: int) -> Any:
        """The lanes from ``first``, 0 before."""
        kept = [lane >= first for lane in range(LANES)]
        mask = ir.Constant(ir.VectorType(ir.IntType(1), LANES), kept)
        return self.builder.select(mask, vector, _ZERO)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self._call(f"llvm.fma.v{LANES}f32", _VECTOR, [a, b, c])

    def sqrt(self, scalar: Any) -> Any:
        return self._call("llvm.sqrt.f32", _FLOAT, [scalar])

    def total(self, vector: Any) -> Any:
        start = ir.Constant(_FLOAT, -0.0)
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        return self._call(name, _FLOAT, [start, vector], fastmath=("reassoc",))

    def _call(self, name: str, returns: Any, values: list[Any], **flags: Any) -> Any:
        kind = ir.FunctionType(returns, [value.type for value in values])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, values, **flags)

    def sum_over(self, start: Any, stop: Any, sums: list[Any], terms: Callable[..., Any]) -> Any:
        """Vectors ``sums`` plus ``terms(step, sums)`` for each step from start up to stop."""
        builder, entry = self.builder, self.builder.block
        loop, done = (builder.append_basic_block(name) for name in ("steps", "sums"))
        builder.cbranch(builder.icmp_signed("<", start, stop), loop, done)
        builder.position_at_end(loop)
        step = builder.phi(_INT)
        running = [builder.phi(_VECTOR) for _ in sums]
        added = terms(step, running)
        following = builder.add(step, _ONE)
        builder.cbranch(builder.icmp_signed("<", following, stop), loop, done)
        step.add_incoming(start, entry)
        step.add_incoming(following, loop)
        builder.position_at_end(done)
        totals = []
        for first, variable, last in zip(sums, running, added, strict=True):
            variable.add_incoming(first, entry)
            variable.add_incoming(last, loop)
            total = builder.phi(_VECTOR)
            total.add_incoming(first, entry)
            total.add_incoming(last, loop)
            totals.append(total)
        return totals


def _operation(returns: Any = types.void) -> Callable[[Callable[..., Any]], Any]:
    """Make an intrinsic of a function that emits code.

    Each of its arguments that is a `Pointer` is an array and a position for the caller.
    """

    def decorate(emit: Callable[..., Any]) -> Any:
        kinds = {name: kind for name, kind in emit.__annotations__.items() if name != "return"}
        pointers = [kind == "Pointer" for kind in list(kinds.values())[1:]]

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given, following = [], iter(zip(signature.args, values, strict=True))
            for is_pointer in pointers:
                kind, value = next(following)
                if is_pointer:
                    array = context.make_array(kind)(context, builder, value)
                    value = builder.gep(array.data, [next(following)[1]])
                given.append(value)
            found = emit(_Emitter(builder), *given)
            return context.get_dummy_value() if found is None else found

        def typed(_: Any, *kinds: Any) -> Any:
            arrays_and_floats = types.Array | types.Float
            return returns(
                *(kind if isinstance(kind, arrays_and_floats) else types.int64 for kind in kinds)
            ), generate

        names = [f"argument_{number}" for number in range(len(pointers) + sum(pointers))]
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [inspect.Parameter(name, positional) for name in ("_", *names)]
        # numba asks for the number of arguments.
        typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
        return intrinsic(typed)

    return decorate


def _product(emit: _Emitter, tile: Any, lines: Any, columns: Any, depth: Any, sign: int) -> None:
    def terms(step: Any, sums: list[Any]) -> list[Any]:
        line = emit.load(emit.vector_at(lines, step))
        line = line if sign > 0 else emit.builder.fneg(line)
        column = emit.vector_at(columns, step)
        return [emit.fma(emit.element(column, r), line, total) for r, total in enumerate(sums)]

    tiles = [emit.load(tile, r) for r in range(LANES)]
    for r, total in enumerate(emit.sum_over(ir.Constant(_INT, 0), depth, tiles, terms)):
        emit.store(total, tile, r)


@_operation()
def add_product(
    emit: _Emitter, tile: Pointer, lines: Pointer, columns: Pointer, depth: Any
) -> None:
    """Add: tile[r] += Σ_t lines[t] · columns[t][r]."""
    _product(emit, tile, lines, columns, depth, 1)


@_operation()
def subtract_product(
    emit: _Emitter, tile: Pointer, lines: Pointer, columns: Pointer, depth: Any
) -> None:
    """Subtract: tile[r] −= Σ_t lines[t] · columns[t][r]."""
    _product(emit, tile, lines, columns, depth, -1)


@_operation(types.boolean)
def factor(emit: _Emitter, tile: Pointer, inverse: Pointer, x: Pointer) -> Any:
    """Cholesky factor L of a tile on the diagonal, 1 / its diagonal, and x := L⁻¹ x.

    False where the tile is not positive definite.
    """
    builder = emit.builder
    columns = [emit.load(tile, r) for r in range(LANES)]
    rest, solved, inverses = emit.load(x), _ZERO, _ZERO
    positive = ir.Constant(ir.IntType(1), 1)
    for r in range(LANES):
        pivot = emit.extract(columns[r], r)
        for sign, bound in ((">", 0.0), ("<", float(np.finfo(np.float32).max))):
            inside = builder.fcmp_ordered(sign, pivot, ir.Constant(_FLOAT, bound))
            positive = builder.and_(positive, inside)
        factor = builder.fdiv(ir.Constant(_FLOAT, 1.0), emit.sqrt(pivot))
        inverses = emit.insert(inverses, factor, r)
        columns[r] = emit.keep(builder.fmul(columns[r], emit.splat(factor)), r)
        negative = builder.fneg(columns[r])
        value = builder.fmul(emit.extract(rest, r), factor)
        solved = emit.insert(solved, value, r)
        rest = emit.fma(emit.splat(value), negative, rest)
        for s in range(r + 1, LANES):
            columns[s] = emit.fma(emit.pick(columns[r], s), negative, columns[s])
    for r, column in enumerate(columns):
        emit.store(column, tile, r)
    emit.store(inverses, inverse)
    emit.store(solved, x)
    return positive


@_operation()
def eliminate(
    emit: _Emitter, tile: Pointer, diagonal: Pointer, inverse: Pointer, solved: Pointer, x: Pointer
) -> None:
    """Solve tile := tile L⁻ᵀ for the factor L of the tile on the diagonal; x −= tile · solved."""
    builder = emit.builder
    columns = [emit.load(tile, r) for r in range(LANES)]
    rest = emit.load(x)
    for r in range(LANES):
        columns[r] = builder.fmul(columns[r], emit.element(inverse, r))
        negative = builder.fneg(columns[r])
        rest = emit.fma(emit.element(solved, r), negative, rest)
        for s in range(r + 1, LANES):
            columns[s] = emit.fma(emit.element(diagonal, r * LANES + s), negative, columns[s])
    for r, column in enumerate(columns):
        emit.store(column, tile, r)
    emit.store(rest, x)


@_operation()
def substitute_back(
    emit: _Emitter, diagonal: Pointer, x: Pointer, inverse: Pointer, below: Any, stride: Any
) -> None:
    """Solve x := L⁻ᵀ (x − Σ tileᵀ x'): ``below`` tiles under the diagonal, ``stride`` apart."""
    builder = emit.builder

    def terms(step: Any, sums: list[Any]) -> list[Any]:
        tile = builder.gep(diagonal, [builder.mul(step, stride)])
        known = emit.load(emit.vector_at(x, step))
        return [emit.fma(emit.load(tile, r), known, total) for r, total in enumerate(sums)]

    last = builder.add(below, _ONE)
    sums = emit.sum_over(_ONE, last, [_ZERO] * LANES, terms)
    solved = _ZERO
    for r in reversed(range(LANES)):
        column = emit.load(diagonal, r)
        product = emit.total(emit.fma(column, solved, sums[r]))
        value = builder.fsub(builder.load(emit.at(x, r)), product)
        solved = emit.insert(solved, builder.fmul(value, builder.load(emit.at(inverse, r))), r)
    emit.store(solved, x)


@_operation()
def add_scaled(emit: _Emitter, total: Pointer, factor: Any, vector: Pointer) -> None:
    """Add: total += factor · vector, one vector register."""
    emit.store(emit.fma(emit.splat(factor), emit.load(vector), emit.load(total)), total)


@_operation()
def copy_scaled(emit: _Emitter, to: Pointer, factor: Any, vector: Pointer) -> None:
    """Copy: to := factor · vector, one vector register."""
    emit.store(emit.builder.fmul(emit.splat(factor), emit.load(vector)), to)
