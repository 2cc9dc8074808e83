"""``recsearch verify``: is what is called best really what the configuration gives?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from recsearch.cli.options import json_option, store_option
from recsearch.errors import VerificationError


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=False))
@store_option
@json_option
def verify(config: Path, store_url: str, as_json: bool) -> None:
    """Retrain CONFIG (a best-config.json, or a run folder) from scratch and compare its metrics.

    Exit code 3 if any metric differs by more than 1e-6. The page of a run says what came out.
    """
    from recsearch.folds import folds_of
    from recsearch.run_paths import RunPaths
    from recsearch.verification import read_config, record_verification
    from recsearch.verification import verify as retrain

    path = config / "best-config.json" if config.is_dir() else config
    document = read_config(path)
    epochs = document["epochs"] * folds_of(document)

    def progress(epoch: int) -> None:
        click.echo(f"epoch {epoch} of {epochs}", err=True)

    root = path.parent if RunPaths(path.parent).identity.exists() else None
    try:
        verified = retrain(document, store_url, progress)
    except VerificationError as err:
        if root is not None:
            record_verification(root, document, err.message)
        raise
    if root is not None:
        record_verification(root, document, verified)
    if as_json:
        click.echo(json.dumps(asdict(verified), indent=2))
        return
    objective = document["objective"]
    click.echo(f"verified   {path}")
    click.echo(
        f"{objective:<10} {verified.metrics[objective]:.6f} (recorded {document['value']:.6f})"
    )
    folds = "" if verified.folds == 1 else f", in the mean and in each of {verified.folds} folds"
    click.echo(f"metrics    {len(verified.metrics)} equal to {verified.difference:.1e}{folds}")
    words = {
        True: "bit-equal to the stored checkpoint",
        False: "NOT bit-equal to the stored one",
        None: "no stored checkpoint to compare with",
    }
    click.echo(f"arrays     {words[verified.bit_equal]}")
