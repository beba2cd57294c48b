"""Lines of one turn of the event loop are written together; what is wrong is written at once."""

import asyncio
import io
import threading

from api.logs import _Lines


class Stream(io.StringIO):
    """Remembers what was written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


def test_one_write_for_the_lines_of_a_turn() -> None:
    stream = Stream()
    lines = _Lines(stream)

    failures: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, failure: failures.append(failure)
        )
        for line in "ab":
            lines.info(line)
        await asyncio.sleep(0)
        assert stream.writes == ["a\nb\n"]
        lines.debug("c")
        lines.warning("wrong")
        assert stream.writes[1:] == ["wrong\n"]
        lines.info("d")

    asyncio.run(main())
    assert stream.writes == ["a\nb\n", "wrong\n", "c\nd\n"]
    assert not failures


def test_without_a_loop_and_in_other_threads_each_at_once() -> None:
    stream = Stream()
    lines = _Lines(stream)
    lines.info("a")

    async def main() -> None:
        lines.info("c")
        thread = threading.Thread(target=lines.info, args=("b",))
        thread.start()
        thread.join()

    asyncio.run(main())
    assert stream.writes == ["a\n", "b\n", "c\n"]


def test_no_more_is_written_at_once_than_a_pipe_takes_whole() -> None:
    stream = Stream()
    lines = _Lines(stream)
    told = ["铸" * 300, "x" * 5000, *("y" * 900 for _ in range(5))]

    async def main() -> None:
        for line in told:
            lines.info(line)

    asyncio.run(main())
    assert "".join(stream.writes) == "\n".join(told) + "\n"
    assert [len(text.encode()) for text in stream.writes] == [901, 5001, 3604, 901]
    assert all(text.endswith("\n") for text in stream.writes)


def test_what_cannot_be_written_is_lost_and_the_work_goes_on() -> None:
    class Full(Stream):
        def flush(self) -> None:
            raise OSError("no space left on device")

    stream = Full()
    lines = _Lines(stream)

    async def main() -> None:
        lines.info("a")
        await asyncio.sleep(0)
        lines.error("b")

    asyncio.run(main())
    assert stream.writes == ["a\n", "b\n"]
