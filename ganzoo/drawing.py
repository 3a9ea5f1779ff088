"""Compiled noise in the code's order, for torch before 2.14, whose inductor draws it when it is used. 2.14 does this itself."""

from itertools import pairwise

import torch
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch._inductor.fx_passes.control_dependencies import preserve_node_ordering
from torch.fx import Graph, Node
from torch.utils._ordered_set import OrderedSet


class InOrder(CustomGraphPass):
    """Has each random operation wait for the one before."""

    def __call__(self, graph: Graph) -> None:
        drawn = [node for node in graph.nodes if draws(node)]
        preserve_node_ordering(graph, {later: OrderedSet([earlier]) for earlier, later in pairwise(drawn)})

    def uuid(self) -> str:
        """By which compiled graphs are found again."""
        return "ganzoo: noise in order, 1"


def draws(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags
