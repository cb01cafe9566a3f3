from typing import Any

from numpy.typing import NDArray

class LogisticRegression:
    coef_: NDArray[Any]
    intercept_: NDArray[Any]

    def __init__(self, *, C: float = ..., class_weight: str | None = ..., max_iter: int = ...) -> None: ...  # noqa: N803
    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> LogisticRegression: ...  # noqa: N803
