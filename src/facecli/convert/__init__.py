"""Published weights, made into the one form that facecli runs: a float32 ONNX graph of standard operators.

A *recipe* is a name with a version; a gallery pins it, so a recipe never changes its outputs: a better one gets a new
version. The manifest says which recipe a model needs, nothing is guessed from the file:

===================== =================================================================================================
``none-1``            an ordinary float32 ONNX graph (what most networks are published as)
``blockquant-1``      8-bit weights with a scale for each block, as OpenCV's model zoo has them: decoded to float32
``none-fcn-1``        as ``none-1``, for a fully convolutional network: height and width are freed too
``blockquant-fcn-1``  as ``blockquant-1``, for a fully convolutional network: height and width are freed too
``dlib-resnet-1``     dlib's face recognition network, from its own ``.dat`` format
===================== =================================================================================================

All of them check the graph (:mod:`facecli.onnx_safety`), drop inputs that are weights, free the batch size where the
graph allows it and write PReLU in the form that runs fast; the result is deterministic for one version of ``onnx``.
"""

from __future__ import annotations

from facecli.errors import ModelIntegrityError

RECIPES = ("none-1", "blockquant-1", "none-fcn-1", "blockquant-fcn-1", "dlib-resnet-1")


def convert(recipe: str, source: bytes) -> bytes:
    """Convert published weights to a float32 ONNX graph.

    Parameters
    ----------
    recipe
        One of :data:`RECIPES`.
    source
        The published file; the caller has verified its digest.

    Returns
    -------
    bytes
        An ONNX file: one float32 input ``(batch, 3, height, width)``, no external data, standard operators only.

    Raises
    ------
    ModelIntegrityError
        The recipe is unknown, or the file is not what the recipe is for, damaged, or unsafe.
    """
    if recipe not in RECIPES:
        known = ", ".join(RECIPES)
        raise ModelIntegrityError(f"the model asks for the unknown conversion {recipe!r}", hint=f"known are: {known}")
    if recipe == "dlib-resnet-1":
        from facecli.convert.dlib_resnet import convert_dlib

        return convert_dlib(source)
    from facecli.convert.onnx_graph import convert_onnx

    return convert_onnx(source, quantised=recipe.startswith("blockquant-"), any_size="-fcn-" in recipe)
