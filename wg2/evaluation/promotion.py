"""When a candidate voice takes the champion's place.

    wer<=1.1*champion and dnsmos>=champion-0.05

A condition compares metrics of the candidate; `champion` stands for the champion's mean of the metric to the left of
it. There are numbers, + - * /, brackets, comparisons, `and`, `or` and `not`. Nothing else is evaluated: the text is
parsed into a tree (`ast`) of which only these nodes are allowed, and no Python code is run.
"""

import ast
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wg2.errors import ConfigError
from wg2.evaluation.metrics import METRICS

CHAMPION = "champion"
_LONGEST = 500
_MOST = sys.float_info.max
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[float, float], bool]]] = {
    ast.Lt: ("<", operator.lt), ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Whether the condition holds, and each comparison that was made, with its figures."""

    holds: bool
    why: str


def check(condition: str) -> ast.expr:
    """The tree of a condition.

    Raises:
        ConfigError: it is no condition, names something that is no metric, or is longer than anybody writes.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval").body if len(condition) <= _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        raise _refused(condition, "it cannot be read")
    _check_logic(tree, condition)
    return tree


def mentions_champion(condition: str) -> bool:
    """Whether a condition compares with the champion; one that does not can be judged without.

    Raises:
        ConfigError: what `check` refuses.
    """
    return any(isinstance(node, ast.Name) and node.id == CHAMPION for node in ast.walk(check(condition)))


def judge(condition: str, candidate: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Whether a candidate's means fulfil the condition.

    Args:
        condition: see above.
        candidate: mean of each metric of the candidate.
        champion: the same of the champion, on the same sentences; empty where the condition does not mention it.
    Raises:
        ConfigError: what `check` refuses, a metric that was not measured, or a division by zero.
    """
    made: list[str] = []
    try:
        holds = _logic(check(condition), candidate, champion, made)
    except KeyError as error:
        raise ConfigError(
            f"synthesize.promote-if: {error.args[0]} was not measured for both voices; score both first"
        ) from error
    except ZeroDivisionError as error:
        raise _refused(condition, "it divides by zero") from error
    return Verdict(holds, "; ".join(made))


def _logic(node: ast.expr, candidate: Mapping[str, float], champion: Mapping[str, float], made: list[str]) -> bool:
    """All parts are evaluated, so that the reason names them all."""
    if isinstance(node, ast.BoolOp):
        parts = [_logic(part, candidate, champion, made) for part in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        return not _logic(node.operand, candidate, champion, made)
    assert isinstance(node, ast.Compare)
    assert isinstance(node.left, ast.Name)
    metric, (sign, compare) = node.left.id, _COMPARISONS[type(node.ops[0])]
    value, limit = candidate[metric], _number(node.comparators[0], metric, champion)
    holds = compare(value, limit)
    made.append(f"{metric} {value:.4g} {sign} {limit:.4g}: {'yes' if holds else 'no'}")
    return holds


def _number(node: ast.expr, metric: str, champion: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        first, second = (_number(side, metric, champion) for side in (node.left, node.right))
        return _ARITHMETIC[type(node.op)](first, second)
    if isinstance(node, ast.UnaryOp):
        return -_number(node.operand, metric, champion)
    if isinstance(node, ast.Name):
        return champion[metric]
    assert isinstance(node, ast.Constant)
    return float(node.value)  # type: ignore[arg-type]  # `check` let numbers through only


def _check_logic(node: ast.expr, condition: str) -> None:
    if isinstance(node, ast.BoolOp):
        for part in node.values:
            _check_logic(part, condition)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check_logic(node.operand, condition)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        names = [metric.name for metric in METRICS]
        if not (isinstance(node.left, ast.Name) and node.left.id in names):
            raise _refused(condition, f"{ast.unparse(node.left)} is no metric; wanted one of {', '.join(names)}")
        _check_number(node.comparators[0], condition)
    else:
        raise _refused(condition, f"{ast.unparse(node)} is no comparison")


def _check_number(node: ast.expr, condition: str) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        _check_number(node.left, condition)
        _check_number(node.right, condition)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _check_number(node.operand, condition)
    elif not (isinstance(node, ast.Name) and node.id == CHAMPION) and not _finite(node):
        raise _refused(condition, f"{ast.unparse(node)} is neither a number nor '{CHAMPION}'")


def _finite(node: ast.expr) -> bool:
    """A number that a float can hold; an int of 400 digits is none, and `math.isfinite` would overflow at it."""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and abs(node.value) <= _MOST  # type: ignore[arg-type]


def _refused(condition: str, why: str) -> ConfigError:
    return ConfigError(f"synthesize.promote-if: got {condition[:_LONGEST]!r}: {why}; "
                       "wanted e.g. 'wer<=1.1*champion and dnsmos>=champion-0.05'")  # fmt: skip
