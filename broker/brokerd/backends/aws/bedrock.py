"""Which hosts are Bedrock's, where a backend is? (Pure.)

Source: AWS General Reference, "Amazon Bedrock endpoints and quotas"; botocore's own partitions.
"""

from __future__ import annotations

from brokerd.backends.aws.settings import Settings

_SERVICES = ("bedrock", "bedrock-runtime", "bedrock-agent-runtime")
_SUFFIXES = {
    "cn": ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    "eusc": ("amazonaws.eu", "api.amazonwebservices.eu"),
}
"""What a host ends with, by how a region begins: without IPv6, and with it, too."""
_COMMON = ("amazonaws.com", "api.aws")


def hosts(settings: Settings) -> tuple[str, ...]:
    """Return those that an app asks, whose SDK is set up as the backend is.

    The plain ones are among them: an app that does not sign with botocore may know no others.
    """
    region = settings.region
    plain, dual = _SUFFIXES.get(region.partition("-")[0], _COMMON)
    fips = "-fips" if settings.use_fips else ""
    suffix = dual if settings.use_dualstack else plain
    found = [f"{each}.{region}.{plain}" for each in _SERVICES]
    found += [f"{each}{fips}.{region}.{suffix}" for each in _SERVICES]
    return tuple(dict.fromkeys(found))
