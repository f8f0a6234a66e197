from funcgrad.array import Array
from funcgrad.prims.calls import interpret
from funcgrad.trace.core import data_of


class Executable:
    def __init__(self, graph):
        self.graph = graph

    def __call__(self, ops):
        return [
            Array(__import__("numpy").asarray(o), t)
            for o, t in zip(
                interpret(self.graph, [__import__("numpy").asarray(data_of(x)) for x in ops]),
                self.graph.out_types,
            )
        ]


def executable_for(graph, donated=()):
    return Executable(graph)
