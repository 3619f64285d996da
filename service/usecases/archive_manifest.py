"""An archive's description of itself: versions, encoder, counts, and size and sha256 of every member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidInput
from service.records import Fingerprint
from service.usecases.archive_fields import Fields, encoded, fields_of
from service.usecases.archive_format import HASH, MANIFEST, MAX_SELECTIONS, PAGE_EXAMPLES

FORMAT = 1
MAX_DIMENSION = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The archive's own description.

    Attributes:
        holotype: version that wrote it.
        catalogue: the name that it had there.
        encoder: specification of the encoder.
        fingerprint: of its embeddings; None for a catalogue that never held any.
        examples, images, selections: how many there are.
        part_examples: how many examples a part holds, the last one maybe fewer.
        active: number of the selection that served, None without one.
        members: size in bytes and sha256 by name, of all but images and the manifest itself.
    """

    holotype: str
    catalogue: str
    encoder: str
    fingerprint: Fingerprint | None
    examples: int
    images: int
    selections: int
    part_examples: int
    active: int | None
    members: Mapping[str, tuple[int, str]]

    @property
    def parts(self) -> int:
        """How many parts the examples are in."""
        return -(-self.examples // self.part_examples)

    @property
    def dimension(self) -> int:
        """Width of the embeddings; 0 where there are none."""
        return 0 if self.fingerprint is None else self.fingerprint.dimension

    def to_bytes(self) -> bytes:
        """JSON."""
        counts = {"examples": self.examples, "images": self.images, "selections": self.selections}
        return encoded(
            {
                "format": FORMAT,
                "holotype": self.holotype,
                "catalogue": self.catalogue,
                "encoder": self.encoder,
                "fingerprint": None if self.fingerprint is None else self.fingerprint.as_dict(),
                "counts": counts,
                "part_examples": self.part_examples,
                "active": self.active,
                "members": {name: list(value) for name, value in self.members.items()},
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises InvalidInput for what no version of this format writes."""
        found = fields_of(data, MANIFEST)
        version = found.whole("format", 0, 1_000_000)
        if version != FORMAT:
            raise InvalidInput(
                f"the archive has format {version}; this version reads format {FORMAT}: use the Holotype that wrote it "
                "or a newer one",
                format=version,
            )
        counts = found.inner("counts")
        selections = counts.whole("selections", 0, MAX_SELECTIONS)
        given = found.value("fingerprint")
        return Manifest(
            holotype=found.text("holotype", 100),
            catalogue=found.text("catalogue", 100),
            encoder=found.text("encoder", 500),
            fingerprint=None if given is None else _fingerprint(found.inner("fingerprint")),
            examples=counts.whole("examples", 0, 10**9),
            images=counts.whole("images", 0, 10**9),
            selections=selections,
            part_examples=found.whole("part_examples", 1, PAGE_EXAMPLES),
            active=None if found.value("active") is None else found.whole("active", 0, selections - 1),
            members=_listed(found.inner("members")),
        )


def _fingerprint(found: Fields) -> Fingerprint:
    return Fingerprint(
        weights_sha256=found.matching("weights_sha256", HASH),
        pooling=found.text("pooling", 100),
        processor=found.text("processor", 200),
        processor_parameters=found.mapping("processor_parameters"),
        dimension=found.whole("dimension", 1, MAX_DIMENSION),
    )


def _listed(found: Fields) -> dict[str, tuple[int, str]]:
    members = {}
    for name in found.names():
        value = found.value(name)
        if not (isinstance(value, list) and len(value) == 2 and type(value[0]) is int and isinstance(value[1], str)):
            raise found.wrong(name, "a size in bytes and a sha256")
        if value[0] < 0 or not HASH.fullmatch(value[1]):
            raise found.wrong(name, "a size in bytes and a sha256")
        members[name] = (value[0], value[1])
    return members
