"""Which variables make a program load code, write down what it must not, or ask elsewhere? (Data.)

Whoever can write them runs inside the session, and could lease its secrets; or says where a name
such as localhost leads. Sources: ld.so(8), "secure-execution mode"; dyld(1); python(1); perlrun(1);
ruby(1); bash(1); node(1); openssl-env(7); sudo's default list of variables to remove (sudoers(5),
env_delete). PATH, PYTHONPATH and ZDOTDIR are not here: people need them. Our own folder comes
before what PYTHONPATH holds.
"""

from __future__ import annotations

_NAMES = {
    "LD_AUDIT", "LD_DEBUG_OUTPUT", "LD_DYNAMIC_WEAK", "LD_LIBRARY_PATH", "LD_ORIGIN_PATH",
    "LD_PRELOAD", "LD_PROFILE", "LD_PROFILE_OUTPUT",
    "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH",
    "HOSTALIASES", "LOCALDOMAIN", "RESOLV_HOST_CONF", "RES_OPTIONS",
    "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONHOME", "PYTHONINSPECT", "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHON_PRESITE",
    "BASH_ENV", "ENV", "PS4", "SHELLOPTS", "BASHOPTS",
    "PERL5OPT", "PERL5LIB", "PERL5DB", "PERLLIB", "PERLIO_DEBUG",
    "RUBYOPT", "RUBYLIB",
    "NODE_OPTIONS", "NODE_REPL_EXTERNAL_MODULE",
    "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS",
    "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES",
    "SSLKEYLOGFILE",
}  # fmt: skip
_PREFIXES = ("DYLD_", "BASH_FUNC_")


def loads_foreign_code(variable: str) -> bool:
    """Return whether a variable of that name is taken out of a program's environment."""
    return variable in _NAMES or variable.startswith(_PREFIXES)
