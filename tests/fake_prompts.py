"""Prompts in a dictionary; the rest of the registry is in `fake_registry`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.records import ClassPrompts
from tests.fake_jobs import FakeJobs, locked


class FakePrompts(FakeJobs):
    @property
    def prompt_rows(self) -> dict[tuple[str, str], tuple[int, ClassPrompts]]:
        return self.__dict__.setdefault("_prompt_rows", {})

    def _serial(self) -> int:
        self.__dict__["_prompt_serial"] = self.__dict__.get("_prompt_serial", 0) + 1
        return int(self.__dict__["_prompt_serial"])

    @locked
    def put_prompts(self, catalogue_id: str, prompts: Sequence[ClassPrompts]) -> None:
        self.catalogue_by_id(catalogue_id)
        for one in prompts:
            self.prompt_rows[catalogue_id, one.label] = (self._serial(), one)

    @locked
    def delete_prompts(self, catalogue_id: str, label: str) -> bool:
        return self.prompt_rows.pop((catalogue_id, label), None) is not None

    @locked
    def rename_prompts(self, catalogue_id: str, label: str, new: str) -> None:
        self.catalogue_by_id(catalogue_id)
        if label == new or (catalogue_id, label) not in self.prompt_rows:
            return
        _, one = self.prompt_rows.pop((catalogue_id, label))
        if (catalogue_id, new) not in self.prompt_rows:
            self.prompt_rows[catalogue_id, new] = (self._serial(), replace(one, label=new))

    @locked
    def prompts(self, catalogue_id: str) -> list[ClassPrompts]:
        return [one for (owner, _), (_, one) in sorted(self.prompt_rows.items()) if owner == catalogue_id]

    @locked
    def prompts_version(self, catalogue_id: str) -> str:
        serials = [serial for (owner, _), (serial, _) in self.prompt_rows.items() if owner == catalogue_id]
        return f"{len(serials)}:{max(serials)}:{sum(serials)}" if serials else ""
