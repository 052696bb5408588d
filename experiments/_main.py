"""How every script starts: absl flags, one call, and one line in place of a traceback for a user's mistake."""

import importlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from plmjax.errors import UserError
from plmjax.renames import new_field
from plmjax.working_folder import reason_of

# The configurations that are installed with the scripts, so that a command works from any folder.
CONFIGS = Path(__file__).parent / "configs"
# What absl and ml_collections raise for a flag or a configuration that can't be read.
MISTAKES = (flags.Error, LookupError, AttributeError, TypeError, ValueError, OSError, SyntaxError)
INTERRUPTED = 128 + 2  # the exit status of a program that SIGINT ends
_CONFIGURATIONS: dict[str, tuple[type, ...]] = {}  # the flags that `define_config` has made, and their classes


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main()`.

    A `UserError` is printed as one line on standard error and ends the script with exit status 2; so do a flag or a
    configuration that can't be read, and a positional argument, which no script takes.
    """

    def guarded(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # absl starts scripts at INFO, where libraries tell their every step
        try:
            if len(argv) > 1:
                raise UserError(f"Unexpected argument {argv[1]!r}: every option is a flag, see --help.")
            _import(flags.FLAGS.import_modules)
            _check_kinds()
            main()
        except UserError as error:
            _end(str(error))
        except OSError as error:
            if "Configuration is not available" in str(error):  # ml_collections says so when it is first read
                _end(_reason(error))
            if error.filename is None:
                raise
            _end(f"The file {error.filename} can't be read or written: {reason_of(error)}; correct its path or rights.")
        except KeyboardInterrupt:
            print("\nstopped by SIGINT: the same command goes on from what is saved", file=sys.stderr)
            sys.exit(INTERRUPTED)

    add_shared_flags()
    app.run(guarded, flags_parser=_parse)


def add_shared_flags() -> None:
    """Adds the flags that every script has; a program may run several scripts."""
    if "import_modules" not in flags.FLAGS:
        flags.DEFINE_list(
            "import_modules", [],
            "Modules to import first, parted by commas: those of your own classes in a checkpoint's configuration, and "
            "of your own metrics.",
        )  # fmt: skip


def run_folder(workdir: str, name: str) -> Path:
    """The folder that --workdir names, else runs/NAME; UserError for a name that leads out of runs."""
    if not workdir and (Path(name).name != name or name in ("", "..")):
        raise UserError(f"The name {name!r} is no name of a folder: give one without slashes, or a --workdir.")
    return Path(workdir).expanduser() if workdir else Path("runs") / name


def expand_names(name: str, file: Path) -> None:
    """--NAME=WORD on the command line is short for --NAME=FILE:WORD; to be called before `define_config`."""
    for index, argument in enumerate(sys.argv[1:], start=1):
        if found := re.fullmatch(rf"(--?{name}=)(\w+)", argument):
            sys.argv[index] = f"{found[1]}{file}:{found[2]}"


def variant_of(name: str) -> str:
    """The variant that the flag --NAME=FILE.py:VARIANT names on the command line, empty where it names none."""
    given = [found[1] for argument in sys.argv[1:] if (found := re.fullmatch(rf"--?{name}=(.*)", argument))]
    return given[-1].rpartition(":")[2] if given and ":" in given[-1] else ""


def define_config(default: str, description: str, name: str = "config", *, kinds: tuple[type, ...]) -> flags.FlagHolder:
    """The flag --config=FILE.py:VARIANT, with --config.SECTION.FIELD=VALUE for its fields; or one of another name.

    FILE.py is a path, or the name of a file that is installed under experiments/configs: bert.py, finetune/bert.py.
    ml_collections applies the fields given on the command line to the default while the flag is being defined. Its
    value is an instance of one of `kinds`: the file of another script's configuration is refused.
    """
    for index, argument in enumerate(sys.argv[1:], start=1):
        if found := re.fullmatch(rf"(--?{name}=)(.+)", argument):
            sys.argv[index] = found[1] + installed(found[2])
    _CONFIGURATIONS[name] = kinds
    try:
        return config_flags.DEFINE_config_file(name, default, description)
    except MISTAKES as error:
        _end(_reason(error))


def installed(path: str) -> str:
    """`path`, FILE.py or FILE.py:VARIANT, under the installed configurations where there is no such file here."""
    file, colon, variant = path.partition(".py:")
    file += ".py" if colon else ""
    candidate = CONFIGS / file.removeprefix("experiments/configs/")
    if Path(file).is_file() or not candidate.is_file():
        return path
    return f"{candidate}:{variant}" if colon else str(candidate)


def _check_kinds() -> None:
    for name, kinds in _CONFIGURATIONS.items():
        if name not in flags.FLAGS:  # of a script that the program ran before
            continue
        value = flags.FLAGS[name].value
        if type(value).__name__ == "_ErrorConfig":  # of a file that could not be read
            _ = value.name  # which says why
        # By name: a class that the file itself defines is another object each time that the file is read.
        if not {kind.__name__ for kind in kinds} & {one.__name__ for one in type(value).__mro__}:
            given = config_flags.get_config_filename(flags.FLAGS[name])
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise UserError(
                f"--{name}={given} gives an object of type {type(value).__name__}, and this script needs {wanted}: "
                "give another file."
            )


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"--import_modules names {name}, which can't be imported: {error}.") from error


def _parse(argv: Sequence[str]) -> list[str]:
    if {"--help", "-help", "-h"} & set(argv[1:]):
        print(help_text(sys.modules["__main__"]))
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except MISTAKES as error:
        _end(_reason(error))


def help_text(script: ModuleType) -> str:
    """What the script says of itself and of its own flags, configurations among them."""
    own = {flag.name: flag for flag in flags.FLAGS.flags_by_module_dict().get(script.__name__, [])}
    by_name = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    by_name += flags.FLAGS.flags_by_module_dict().get(__name__, [])
    own |= {flag.name: flag for flag in by_name} | {name: flags.FLAGS[name] for name in _CONFIGURATIONS}
    lines = [(script.__doc__ or "").strip(), "", "flags:"]
    for name, flag in sorted(own.items()):
        prefix = "[no]" if flag.boolean else ""
        default = (
            "" if flag.default in (None, "", False, []) or name in _CONFIGURATIONS else f" (default: {flag.default})"
        )
        text = f"{' '.join((flag.help or '').split())}{default}"
        lines.append(textwrap.fill(text, 100, initial_indent=f"  --{prefix}{name}: ", subsequent_indent=" " * 6))
    lines += [f"  --{name}.FIELD: sets a field; --print_config lists them." for name in _CONFIGURATIONS]
    return "\n".join(lines)


def _end(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _reason(error: BaseException) -> str:
    """One sentence for what absl or ml_collections raised."""
    mistakes = [cause for cause in _chain(error) if isinstance(cause, UserError)]
    if mistakes:
        return str(mistakes[-1])  # the first that was raised; ml_collections wraps it in its traceback
    text = str(error)
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno} is not Python ({error.msg}): --config takes a Python file."
    if missing := re.search(r"No such file or directory: '(.*?)'", text):
        example = "experiments/configs/bert.py:base"
        return f"There is no configuration file {missing[1]!r}: give the path of one, such as {example}."
    if missing := re.search(r"Flag --(\w+) must have a value other than None", text):
        return f"--{missing[1]} is missing, which this script needs: see --help."
    unknown = re.search(r"Field (?P<field>\w+) not found on dataclass <class '[\w.]*?(?P<kind>\w+)'>", text)
    unknown = unknown or re.search(r"<class '[\w.]*?(?P<kind>\w+)'>\.(?P<field>\w+) does not exist", text)
    if unknown:
        field = unknown["field"]
        below = [
            found[0] for one in sys.argv[1:] if (found := re.search(rf"(?<=\.){field}\.\w+", one.partition("=")[0]))
        ]
        for old in (*below, field):
            if renamed := new_field(unknown["kind"], old):
                return f"{unknown['kind']}'s field {old!r} is now called {renamed!r}: give it by that name."
        return f"{unknown['kind']} has no field {unknown['field']!r}: --print_config shows the fields that there are."
    if isinstance(error, IndexError) or "tuple indices must be integers" in text:
        return (
            "A flag names an element of a tuple that is not there: give its number from 0 on, such as "
            "--config.objective.denoisers[0].weight=2, and see --print_config."
        )
    last = text.strip().splitlines()[-1].strip() if text.strip() else type(error).__name__
    return f"{last.rstrip('.')}; see --help."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
