"""How is a service of AWS asked? With botocore, which nothing but config.toml tells anything.

By itself botocore reads environment variables, files below ``~/.aws``, and plugins that a variable
names: whoever writes those would say which server our requests go to.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.pace import Pace
from brokerd.backends.aws.parsing import Parsers
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.transport import Transport
from brokershim import clock

botocore: Any = importlib.import_module("botocore")  # it carries no types
_config: Any = importlib.import_module("botocore.config")
_configprovider: Any = importlib.import_module("botocore.configprovider")
_loaders: Any = importlib.import_module("botocore.loaders")
_plugin: Any = importlib.import_module("botocore.plugin")
_session: Any = importlib.import_module("botocore.session")

_MOST = 256
"""Clients that are kept: each secret may have a role's session, and so a client, of its own."""
_ATTEMPTS = 3
_NO_FILES = {"config_file": None, "credentials_file": None}

_loader = _loaders.Loader([_loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
# Its debug messages hold whole answers, and so every secret that is read.
logging.getLogger("botocore").setLevel(logging.WARNING)


class Clients:
    """What asks AWS for one backend. For use by any number of threads.

    Args:
        name: The backend's configured name, for messages.
        settings: Where.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, name: str, settings: Settings, now: Callable[[], float] = clock.now) -> None:
        self.name, self.settings = name, settings
        self._now, self._lock = now, threading.Lock()
        self._session, self._transport = _own_session(), Transport(settings.trust)
        self._paces: dict[str, Pace] = {}
        self._clients: OrderedDict[tuple[str, Keys | None], Any] = OrderedDict()

    def client(self, service: str, keys: Keys | None = None) -> Any:
        """Return the botocore client of a service that acts with some keys.

        What its methods raise is for `faults.translated`.

        Args:
            service: Such as ``secretsmanager``.
            keys: What requests are signed with; None for a service that takes them unsigned.
        """
        with self._lock:
            found = self._clients.pop((service, keys), None)
            if found is None:
                found = self._made(service, keys)
                self._forget_dead()
            self._clients[service, keys] = found
            return found

    def _forget_dead(self) -> None:
        now = self._now()
        for each in list(self._clients):
            if each[1] is not None and each[1].expires_at is not None and each[1].expires_at <= now:
                del self._clients[each]
        while len(self._clients) >= _MOST:
            self._clients.popitem(last=False)

    def _made(self, service: str, keys: Keys | None) -> Any:
        # Each client has connections of its own, which nobody uses, and for which it opens this
        # file: no key of TLS belongs there, and a path that is none must not end all this.
        os.environ.pop("SSLKEYLOGFILE", None)
        # Before the session: it would import what a variable of the environment names.
        context = _plugin.set_plugin_context(_plugin.PluginContext(plugins="DISABLED"))
        try:
            client = self._session.create_client(service, **self._arguments(service, keys))
        finally:
            _plugin.reset_plugin_context(context)
        self._paces.setdefault(service, Pace()).keep(client)
        client.meta.events.register("before-send", self._transport.send)
        return client

    def _arguments(self, service: str, keys: Keys | None) -> dict[str, Any]:
        settings = self.settings
        return {
            "region_name": settings.region,
            "endpoint_url": settings.endpoints.get(service),
            "verify": True,  # this and the proxies would be looked up for connections not used
            "aws_access_key_id": keys and keys.access_key,
            "aws_secret_access_key": keys and keys.secret_key,
            "aws_session_token": keys and keys.session_token,
            "config": _config.Config(
                signature_version=None if keys else botocore.UNSIGNED,
                user_agent="brokerctl",
                use_fips_endpoint=settings.use_fips,
                use_dualstack_endpoint=settings.use_dualstack,
                ignore_configured_endpoint_urls=True,
                proxies={},
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            ),
        }


def _own_session() -> Any:
    """Return a session of botocore that looks up nothing: all its settings are its defaults."""
    session = _session.Session()
    defaults = {
        name: each[2] for name, each in _configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    constants = {
        name: _configprovider.ConstantProvider(value)
        for name, value in (defaults | _NO_FILES).items()
    }
    session.register_component("config_store", _configprovider.ConfigValueStore(constants))
    session.register_component("data_loader", _loader)
    session.register_component("response_parser_factory", Parsers())
    return session
