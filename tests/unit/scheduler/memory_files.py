"""A store's files in memory."""

from collections.abc import Iterator


class MemoryFiles:
    """As much of Files as the journal needs; ``failing`` writes to come raise."""

    url = "memory"

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.failing = 0

    def read(self, key: str) -> bytes | None:
        return self.content.get(key)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError(28, "No space left on device")
        self.content[key] = data

    def keys(self, prefix: str) -> Iterator[str]:
        yield from (key for key in self.content if key.startswith(prefix))
