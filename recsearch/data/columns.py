"""Columns of Arrow tables as ids, numbers and times; what does not fit is named by its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsearch.data.validate import Where
from recsearch.errors import DataError


def ids_of(column: Any, name: str, where: Where) -> np.ndarray:
    """Original ids: int64 if every one is a whole number written plainly, else text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _filled(column, name, where)
    if pa.types.is_integer(column.type):
        return _cast(column, pa.int64(), name, "a 64-bit whole number", where)
    if pa.types.is_floating(column.type):
        return _cast(column, pa.int64(), name, "a whole number or text", where)
    text = _text(column)
    try:
        numbers = text.cast(pa.int64())
    except pa.ArrowInvalid:
        numbers = None
    # "007" and "7" are two ids, so only numbers that are written as numbers become numbers.
    if numbers is not None and pc.all(pc.equal(numbers.cast(text.type), text)).as_py():
        return np.asarray(numbers.to_numpy())
    return np.asarray(text.to_numpy().astype(np.str_))


def numbers_of(column: Any, name: str, where: Where) -> np.ndarray:
    """float64; NaN and infinity are left for validation, which all data sets share."""
    import pyarrow as pa

    return _cast(_filled(column, name, where), pa.float64(), name, "a number", where)


def seconds_of_times(column: Any, name: str, where: Where) -> np.ndarray:
    """int64 seconds since 1970 (UTC) from whole numbers or from dates."""
    import pyarrow as pa

    column = _filled(column, name, where)
    if not _is_number(column.type) and not pa.types.is_temporal(column.type):
        column = _parsed(
            _text(column), (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
        )
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        kind = pa.timestamp("us", getattr(column.type, "tz", None))
        moments = column.cast(kind, safe=False)  # only whole seconds are kept
        return np.asarray(moments.to_numpy().astype("datetime64[s]").astype(np.int64))
    return _cast(column, pa.int64(), name, "whole seconds since 1970 or an ISO date", where)


def _parsed(text: Any, kinds: tuple[Any, ...]) -> Any:
    """The column as the first of ``kinds`` that fits all of it, or as it is."""
    import pyarrow as pa

    for kind in kinds:
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return text


def _filled(column: Any, name: str, where: Where) -> Any:
    """The column without dictionary encoding.

    Raises:
        DataError: a value is missing, or the values are neither numbers nor text nor dates.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise DataError(f"column {name} holds {column.type}, expected numbers, text or dates")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{where(row)}: {name} is missing ({column.null_count} such rows in all)")
    return column


def _cast(column: Any, to: Any, name: str, expected: str, where: Where) -> np.ndarray:
    """Convert, or name the first value that cannot be converted.

    Raises:
        DataError: a value does not fit.
    """
    import pyarrow as pa

    if not _is_number(column.type):
        column = _text(column)
    try:
        return np.asarray(column.cast(to).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = _first_bad(column, lambda part: part.cast(to))
        value = column[row].as_py()
        raise DataError(f"{where(row)}: {name} is {value!r}, expected {expected}") from error


def _first_bad(column: Any, convert: Callable[[Any], Any]) -> int:
    """The first value that ``convert`` refuses; it must refuse the column as a whole."""
    import pyarrow as pa

    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(column.slice(good, middle - good))
            good = middle
        except pa.ArrowException:
            bad = middle
    return good


def _text(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(column.cast(pa.large_string()))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
