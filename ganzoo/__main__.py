"""The command `ganzoo`. Help and errors are here, before the seconds that importing torch and Lightning takes."""

import os
import select
import sys
from difflib import get_close_matches

import ganzoo

HELP = """usage: ganzoo COMMAND [OPTIONS]

Train, measure and compare generative adversarial networks.

  fit       train a variant:    ganzoo fit --config dcgan_digits.yaml
  validate  losses on held-out data: ganzoo validate --config CONFIG --ckpt_path CHECKPOINT
  test      the same, through Lightning's test loop
  sample    pictures from a checkpoint: ganzoo sample --checkpoint CHECKPOINT --out samples.png
  translate images of images:  ganzoo translate --checkpoint CHECKPOINT photo.jpg large.png
  impute    gaps in a table:   ganzoo impute --checkpoint CHECKPOINT table.csv whole.csv
  evaluate  FID, KID, IS, precision, recall: ganzoo evaluate --checkpoint CHECKPOINT --data.root DATA
            or of two folders of images:  ganzoo evaluate REAL FAKE --metrics fd,kd --extractor effnet-lite0
  export    weights alone:     ganzoo export --checkpoint CHECKPOINT --out weights.safetensors
  import    NVIDIA's StyleGAN2 weights:  ganzoo import ffhq.pt --out ffhq.safetensors
  compare   a table of runs by their scores:   ganzoo compare RUN RUN ...
  benchmark variants x data x seeds, and a table of what they reach:  ganzoo benchmark smoke
  tune      good values of a config's options: ganzoo tune dcgan_digits.yaml --trials 20
  list      the variants: name, paper, year, parameters, configs

  ganzoo COMMAND --help     the command's options
  --config NAME             a YAML file's path, or the name of a bundled one (ganzoo list names them)
  --traceback               show where an error came from (as does GANZOO_TRACEBACK=1)
  --version                 print the version
"""
COMMANDS = [
    "fit",
    "validate",
    "test",
    "sample",
    "translate",
    "impute",
    "evaluate",
    "export",
    "import",
    "compare",
    "benchmark",
    "tune",
    "list",
]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    traceback = "--traceback" in arguments or bool(os.environ.get("GANZOO_TRACEBACK"))
    arguments = [argument for argument in arguments if argument != "--traceback"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return
    command, *rest = arguments
    if command == "--version":
        print(f"ganzoo {ganzoo.__version__}")
        return
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1, 0)
        stop(f"there is no command {command}; did you mean {near[0]}?")
    try:
        from ganzoo import cli, explain
    except KeyboardInterrupt:
        stop("stopped", 130)
    try:
        cli.run(command, rest)
    except cli.Stopped as stopped:
        stop(stopped.line, stopped.status)
    except KeyboardInterrupt:
        stop("stopped", 130)
    except (ValueError, OSError, cli.MisconfigurationException) as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            return
        if traceback:
            raise
        stop(explain.explain(str(error)) or type(error).__name__)
    except RuntimeError as error:
        if traceback or (line := explain.lost_reader(str(error))) is None:
            raise
        stop(line)


def nobody_reads() -> bool:
    """Whether it is standard output's pipe that is broken, as in `ganzoo list | head`, and not a worker's."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if not output.poll(0):  # of what was not asked for it tells that nobody is at the other end
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter would tell at its end
    return True


def stop(message: str, status: int = 2) -> None:
    print(f"ganzoo: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
