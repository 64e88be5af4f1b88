from tests.model.conftest import _ordinary_torch, small_params, workspace

__all__ = ["_ordinary_torch", "small_params", "workspace"]
