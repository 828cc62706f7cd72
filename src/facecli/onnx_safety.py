"""What an ONNX file may contain before facecli lets onnxruntime near it.

A graph is data, but two features of the format reach beyond the file: a tensor may be stored elsewhere (external data:
onnxruntime then reads whatever path the model names, and for a model given as bytes it looks in the working directory),
and a node can belong to a custom operator domain, which asks for foreign code. Neither is needed by any network here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import ModelIntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_DEEPEST_SUBGRAPH = 16


def check_graph(data: bytes) -> None:
    """Refuse an ONNX file that reaches beyond itself.

    Parameters
    ----------
    data
        The whole file.

    Raises
    ------
    ModelIntegrityError
        The bytes are no ONNX model; a tensor is stored outside the file; an operator is not of the standard domain; the
        model brings functions of its own.
    """
    read_graph(data)


def read_graph(data: bytes) -> ModelProto:
    """Parse an ONNX file and check it as :func:`check_graph` does.

    Parameters
    ----------
    data
        The whole file.

    Returns
    -------
    onnx.ModelProto
        The parsed model; every tensor of it lies inside ``data``.

    Raises
    ------
    ModelIntegrityError
        As :func:`check_graph`.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no stubs
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
        _check_model(model)
    except (DecodeError, UnicodeDecodeError) as error:  # the latter where a name in it is no text
        raise ModelIntegrityError("the file is not an ONNX model") from error
    return model


def _check_model(model: ModelProto) -> None:
    """Refuse what reaches beyond the file."""
    if not model.graph.node:
        raise ModelIntegrityError("the file is not an ONNX model, or one without any operator")
    if model.functions or model.training_info:
        raise ModelIntegrityError("the ONNX model brings functions of its own; only standard operators are run")
    _check_domains({entry.domain for entry in model.opset_import})
    for graph in nested_graphs(model.graph):
        _check_domains({node.domain for node in graph.node})
        for tensor in _tensors(graph):
            _check_tensor(tensor)


def _check_domains(domains: set[str]) -> None:
    """Allow operators of the ONNX standard alone."""
    foreign = sorted(domains - _STANDARD_DOMAINS)
    if foreign:
        raise ModelIntegrityError(
            f"the ONNX model uses operators of the domain {foreign[0]!r}; only standard ones are run"
        )


def _check_tensor(tensor: TensorProto) -> None:
    """Allow tensors that lie inside the file alone."""
    from onnx import TensorProto

    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise ModelIntegrityError(
            f"the ONNX model keeps the tensor {tensor.name!r} in another file, which is not followed"
        )


def nested_graphs(graph: GraphProto, depth: int = 0) -> Iterator[GraphProto]:
    """Walk a graph and the graphs nested in it (If, Loop, Scan).

    Parameters
    ----------
    graph
        The outermost; it comes first.
    depth
        How deep it lies itself.

    Raises
    ------
    ModelIntegrityError
        They are nested deeper than any network needs.
    """
    if depth > _DEEPEST_SUBGRAPH:
        raise ModelIntegrityError("the ONNX model nests graphs too deeply")
    yield graph
    for attribute in _attributes(graph):
        for nested in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from nested_graphs(nested, depth + 1)


def _attributes(graph: GraphProto) -> Iterator[AttributeProto]:
    """Give the attributes of a graph's own nodes."""
    for node in graph.node:
        yield from node.attribute


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Give every tensor of one graph: initialisers, sparse ones, and those inside attributes."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for attribute in _attributes(graph):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse += [
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
            *attribute.sparse_tensors,
        ]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
