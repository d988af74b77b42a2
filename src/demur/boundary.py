"""Where over-refused prompts lie between benign and malicious ones in a model's hidden space (arXiv 2511.19009), layer by layer."""

from dataclasses import dataclass
from typing import Literal

Position = Literal["prompt", "answer"]
Group = Literal["benign", "answered", "over_refused", "malicious"]
GROUPS: tuple[Group, ...] = ("benign", "answered", "over_refused", "malicious")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval, by bootstrap over prompts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Place:
    """Where one group lies in one layer: the mean projection on the line from the benign centroid (0) to the malicious one (1), which is
    found on other prompts (cross-fitted), and the mean Euclidean distance to either centroid, in units of the distance between them."""

    position: Position
    layer: int
    group: Group
    projection: Estimate
    to_benign: Estimate
    to_malicious: Estimate


@dataclass(frozen=True)
class Gap:
    """How much further towards the malicious centroid over-refused prompts lie than answered pseudo-harmful ones (difference of mean
    projections), and the area under the ROC curve of the projection for the same two groups. Position between the centroids proves
    nothing by itself, the helpful-only base has it too; this contrast within one kind of prompt is what refusal follows."""

    position: Position
    layer: int
    difference: Estimate | None
    auc: Estimate | None


@dataclass(frozen=True)
class Probe:
    """How well a cross-validated linear probe tells two groups apart in one layer: area under the ROC curve of its held-out scores."""

    position: Position
    layer: int
    groups: tuple[Group, Group]
    auc: Estimate | None


@dataclass(frozen=True)
class Point:
    """One prompt: its group, its projection by position and layer (in the order of `Geometry.positions` and `Geometry.layers`), and its
    place on a 2-D map (principal components) of every layer. `overlap`: for malicious prompts the similarity to the pseudo-harmful ones
    by layer (centred cosine to the centroid, at the position of the prompt)."""

    prompt: str
    suite: str
    text: str
    group: Group
    projections: tuple[tuple[float, ...], ...]
    map: tuple[tuple[tuple[float, float], ...], ...]
    overlap: tuple[float, ...] = ()


@dataclass(frozen=True)
class Geometry:
    """The geometry of one model. `between` says, by position and layer, whether the interval of the over-refused group's projection
    lies wholly between 0 and 1; groups with fewer than five prompts have no places."""

    model: str
    positions: tuple[Position, ...]
    layers: tuple[int, ...]
    counts: dict[Group, int]
    places: tuple[Place, ...]
    gaps: tuple[Gap, ...]
    probes: tuple[Probe, ...]
    points: tuple[Point, ...]
