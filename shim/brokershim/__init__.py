"""The part of brokerctl that lives inside other people's processes. Standard library only."""

__version__ = "0.1.0"


def install() -> None:
    """Swap references for keys in httpx, httpx2 and botocore, imported already or later.

    `brokerctl run` does this by itself. Twice is no different. Nothing is asked of the daemon
    before a request carries a reference.
    """
    from brokershim import finder

    finder.install()
