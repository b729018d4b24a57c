"""The group lasso over the rows of W: problem, exact solver, certificate."""

from head2toe.probes.group_lasso.solver import GroupLassoResult, entries, group_lasso, group_lasso_path, lambda_max

__all__ = ["GroupLassoResult", "entries", "group_lasso", "group_lasso_path", "lambda_max"]
