from torch import nn

class Conv1D(nn.Module):
    weight: nn.Parameter
    bias: nn.Parameter
    def __init__(self, nf: int, nx: int) -> None: ...
