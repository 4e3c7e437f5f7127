"""The text of ``--help``: what each command does, with examples and its exit status."""

from __future__ import annotations

from typing import NamedTuple


class CommandHelp(NamedTuple):
    """The help of one command."""

    summary: str
    """The line in the list of commands."""
    description: str
    epilog: str = ""


PROGRAM = """\
examples:
  streamserver --provider echo          try it without a key
  OPENAI_API_KEY=sk-… streamserver      OpenAI, the default
  streamserver --config prod.toml       another configuration
  streamserver check                    is the configuration right?
  streamserver schema > schema.json     complete config.toml in an editor
  streamserver providers --probe        does every provider answer?
  streamserver load --streams 2000      a load test, of the echo provider

  streamserver COMMAND --help           what a command does, with examples

environment:
  STREAMSERVER_CONFIG            the configuration, if --config does not name it
  STREAMSERVER_<SECTION>__<KEY>  overrides a key: STREAMSERVER_LIMITS__MAX_TOKENS=500
  STREAMSERVER_KEYS              API keys of clients: name:key,name:key
  OPENAI_API_KEY, …              keys of providers: api_key_env names the variable
  NO_COLOR                       output without colours

files:
  ./config.toml                  the configuration, if nothing else names one
  ./.env                         more variables, as NAME=value; those that are set win

signals:
  SIGTERM                        finish running streams for server.drain_seconds, then end
  SIGINT, or a second SIGTERM    the same within 2 seconds
  SIGHUP                         read the configuration again

exit status:
  0  ended as asked
  1  a provider did not answer, a promise was broken, or output could not be written
  2  a wrong command line, configuration or environment: one line says what

documentation: docs/commands.md, docs/settings.md and their neighbours in the repository
"""

SERVE = CommandHelp(
    "run the server (the default)",
    """\
Run the server until a signal ends it.

It prints its address, the default provider and what is missing to standard output, and its log to
standard error. Without API keys it listens on loopback only. Flags win over the environment, the
environment over the configuration file, and the file over the defaults.""",
    """\
examples:
  streamserver serve --provider echo --port 0
  STREAMSERVER_KEYS=anna:key1 streamserver serve --host 0.0.0.0

signals:
  SIGTERM                        finish running streams for server.drain_seconds, then end
  SIGINT, or a second SIGTERM    the same within 2 seconds
  SIGHUP                         read the configuration again; a wrong one changes nothing

exit status:
  0  ended by a signal, after the drain
  2  it cannot start: one line says what is wrong, with which value, and what is allowed
""",
)

CHECK = CommandHelp(
    "validate the configuration, and print what is in force, without secrets",
    """\
Validate the configuration, and print what is in force as TOML: the file, the environment and the
flags together. Secrets are masked. Warnings follow as comments. It starts nothing and connects to
nothing.""",
    """\
examples:
  streamserver check --config prod.toml
  STREAMSERVER_LIMITS__MAX_STREAMS=5000 streamserver check

exit status:
  0  the server would start with it
  2  it would not: one line says where and why
""",
)

SCHEMA = CommandHelp(
    "print a JSON schema of the configuration, for editors",
    """\
Print the JSON schema of config.toml, with the options of every kind of provider that is installed.
Editors complete and check the file with it.""",
    """\
examples:
  streamserver schema > schema.json
  (then put "#:schema ./schema.json" into the first line of config.toml)
""",
)

PROVIDERS = CommandHelp(
    "list the configured providers, and what each lacks",
    """\
List the configured providers with their kind, model and role, and what each lacks, such as the
variable of its key.""",
    """\
examples:
  streamserver providers
  streamserver providers --probe --config prod.toml

exit status:
  0  listed; with --probe: every provider answered
  1  with --probe: a provider did not answer
  2  the configuration cannot be read
""",
)

KEYS = CommandHelp("make an API key", "Make API keys for clients of this server.")

KEYS_NEW = CommandHelp(
    "print a new key, once, and the line for auth.keys_file",
    """\
Print a new API key, and the line for the file that auth.keys_file names. The line holds a hash; the
key itself is shown this once and stored nowhere.""",
    """\
example:
  streamserver keys new anna
""",
)

COMPLETION = CommandHelp(
    "print a shell's completion of commands and flags",
    "Print a script that completes the commands, flags and files of streamserver in a shell.",
    """\
installation:
  bash  streamserver completion bash > ~/.local/share/bash-completion/completions/streamserver
  zsh   streamserver completion zsh > ~/.zfunc/_streamserver
        (with "fpath+=~/.zfunc" before "compinit" in ~/.zshrc)
  fish  streamserver completion fish > ~/.config/fish/completions/streamserver.fish

It takes effect in the next shell.
""",
)

LOAD = CommandHelp(
    "run a load test against a server; exit status 1 if it broke a promise",
    """\
Run a load test against a server, and check every event: ids, order, text, and exactly one ending.
Without --url it starts a server with the echo provider for the test, which costs nothing. Readers
can leave, be cut off and come back, or read slowly; the same flags give the same readers.""",
    """\
examples:
  streamserver load --streams 2000
  streamserver load --duration 30 --rate 50 --report load.html
  streamserver load --resume-rate 0.3 --cancel-rate 0.1 --slow-readers 0.05
  streamserver load --url http://127.0.0.1:8080 --api chat --api-key-env KEY --concurrency 20

exit status:
  0  every promise was kept
  1  a promise was broken, or more than 1 % of the streams were refused
  2  the flags contradict each other, or the server cannot be reached
""",
)
