"""NVIDIA's management library as the code asks for it, over cards that are made up."""

from types import SimpleNamespace
from typing import NamedTuple

import pynvml

NVMLError = pynvml.NVMLError


class FakeCard(NamedTuple):
    """A card; ``slices`` are its MIG devices, None where MIG is off or unknown."""

    uuid: str
    used: int = 0
    total: int = 16
    slices: tuple["FakeCard", ...] | None = None


class FakeNvml:
    """Takes the place of the module ``pynvml``; ``cards`` is None on a machine without a driver."""

    NVMLError = NVMLError

    def __init__(self, cards: list[FakeCard] | None, driver: str = "580.65.06"):
        self.cards, self.driver = cards, driver

    def nvmlInit(self):
        if self.cards is None:
            raise NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.cards[index]

    def nvmlDeviceGetMigMode(self, card):
        if card.slices is None:
            raise NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, card):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, index):
        if index >= len(card.slices):
            raise NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return card.slices[index]

    def nvmlDeviceGetMemoryInfo(self, card):
        return SimpleNamespace(used=card.used, total=card.total)

    def nvmlDeviceGetUUID(self, card):
        return card.uuid

    def nvmlDeviceGetName(self, card):
        return f"Card {card.uuid}"
