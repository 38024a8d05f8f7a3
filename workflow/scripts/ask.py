"""Ask a run of a study and its base model, in a terminal or on a page of this machine; nothing is medical advice.

python workflow/scripts/ask.py qlora_100k
echo 高血压患者饮食要注意什么？ | python workflow/scripts/ask.py qlora_1k --configfile config/demo.yaml
python workflow/scripts/ask.py qlora_100k --page
"""

import argparse
import signal
import sys

from medscale.ask.device import leased
from medscale.ask.foreground import foreground
from medscale.ask.study import Study, open_study
from medscale.ask.texts import LANGUAGES, text, users_language
from medscale.base.environment import prepare_environment
from medscale.base.errors import run_script
from medscale.base.parallel import available_cores


def main() -> None:
    args = parse_arguments()
    prepare_environment()
    study = open_study(args.configfile, args.directory)
    args.run = args.run or study.first_choice(args.page)
    study.asked(args.run)  # before seconds go by
    if args.page:
        from medscale.ask.quiet_gradio import require_gradio

        require_gradio()
    try:
        with foreground(), leased(args.wait):
            talk(args, study)
    except KeyboardInterrupt:  # while a model was loaded; what stops an answer stays where answers grow
        print(file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def talk(args: argparse.Namespace, study: Study) -> None:
    """Load the model, and ask it until the user ends."""
    import torch  # when one card is left to see
    from transformers.utils.logging import disable_progress_bar

    from medscale.ask.asker import Asker
    from medscale.ask.sampling import Sampling

    torch.set_num_threads(args.threads)
    disable_progress_bar()
    sampling, asker = Sampling(args.temperature, args.top_p, args.seed), Asker(study)
    print(text("loading", args.language, run=args.run), file=sys.stderr, flush=True)
    asker.switch(args.run)
    if args.page:
        from medscale.ask.page import serve

        serve(asker, sampling, args.max_new_tokens, args.port)
    else:
        from medscale.ask.terminal import Terminal

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads the answers may have read enough, as `head` has
        Terminal(asker, sampling, args.max_new_tokens, args.language).talk()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = "a trained run, such as qlora_100k, or base for the base model alone; the page takes one if none is named"
    parser.add_argument("run", nargs="?", help=named)
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="as for snakemake")
    parser.add_argument("--directory", metavar="FOLDER", help="folder of the study (default: the current one)")
    parser.add_argument("--page", action="store_true", help="a page for the browser in place of the terminal")
    parser.add_argument("--port", type=port, help="port of the page on 127.0.0.1 (default: the first free from 7860)")
    parser.add_argument("--temperature", type=temperature, default=0.0, help="above 0: sample (default: 0, greedy)")
    parser.add_argument("--top-p", type=share, default=1.0, help="sample from the likeliest (default: 1, from all)")
    parser.add_argument("--seed", type=int, default=42, help="seed of sampling (default: %(default)s)")
    parser.add_argument("--max-new-tokens", type=positive, help="of an answer (default: evaluation.max_new_tokens)")
    parser.add_argument("--wait", action="store_true", help="wait for a card that a study computes on")
    parser.add_argument("--language", choices=LANGUAGES, default=users_language(), help="(default: the locale's)")
    parser.add_argument("--threads", type=positive, default=available_cores(), help="of the CPU (default: all)")
    return parser.parse_args()


def temperature(words: str) -> float:
    """Read a temperature from 0 to 5."""
    value = float(words)
    if not 0 <= value <= 5:
        raise argparse.ArgumentTypeError(f"must be from 0 to 5, not {words}")
    return value


def share(words: str) -> float:
    """Read a probability above 0 and at most 1."""
    value = float(words)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {words}")
    return value


def positive(words: str) -> int:
    """Read a whole number above 0."""
    value = int(words)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be above 0, not {words}")
    return value


def port(words: str) -> int:
    """Read a port that a user may take."""
    value = int(words)
    if not 1024 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 1024 to 65535, not {words}")
    return value


if __name__ == "__main__":
    run_script(main)
