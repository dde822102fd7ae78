import inspect
import json
import os
import shlex

from snakemake.jobs import GroupJob, Job

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.errors import HOPELESS
from workflow_scripts.common.training_store import made_with_other_code
from workflow_scripts.study import arguments, inputs, paths
from workflow_scripts.study.code_digest import code_digest
from workflow_scripts.study.config_files import SHIPPED, complete
from workflow_scripts.study.options import options
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import load_study
from workflow_scripts.study.whole_jobs import INSIDE, SETUP, steps
from workflow_scripts.study.whole_jobs import batches as batch_jobs
from workflow_scripts.study.whole_jobs import cases as case_jobs
from workflow_scripts.study.whole_jobs import record as records
from workflow_scripts.study.targets import arm_files, cohort_files, stage_files

# As a module, the workflow is given a configuration by another one, or takes its own and what the command line says.
IN_MODULE = workflow.modifier.parent_modifier is not None
if IN_MODULE:
    config_files = [SHIPPED]
    own = config if workflow.modifier.skip_configfile else workflow.config_settings.overwrite_config
    said = {"the configuration of the module": dict(own)}
else:
    config_files = [*workflow.configfiles, *(workflow.overwrite_configfiles or [])]
    said = {"--config, on the command line": workflow.config_settings.config}

# Jobs parse this again, and the Snakemake of a whole case does: what a user is told was told, and another case's scan that has
# gone since is not their fault.
FIRST_CALL = workflow.is_main_process and INSIDE not in os.environ
SDM = [method.name.lower().replace("_", "-") for method in workflow.deployment_settings.deployment_method]

try:
    config = complete(config)
    # The workflow that has this one as a module may have changed the steps; no container starts in a container; a storage
    # plugin looks after each step's files; the rules of new patients read them.
    if IN_MODULE or "apptainer" in SDM or workflow.storage_settings.default_storage_provider or "model" in config:
        config["jobs"] = "steps"
    # The demo makes its cohort itself.
    STUDY = load_study(
        config,
        config_files,
        check_paths=FIRST_CALL and "phantom" not in config,
        given=said,
    )
except StudyError as error:
    raise WorkflowError(str(error)) from None

if FIRST_CALL:
    for name, reason in STUDY.left_out.items():
        logger.warning(f"Left out: {name}; {reason}.")
    if STUDY.without_compiler:
        logger.warning(
            f"No C compiler on this machine (gcc, clang, or CC), which {' and '.join(STUDY.without_compiler)} would compile "
            "kernels with on a GPU: on machines like it their steps take longer (docs/gpu.md)."
        )


pathvars:
    **paths.pathvars(STUDY.results),


for stage in ("pretrain", "finetune"):
    states = Path(paths.file(STUDY.results, "state"), stage)
    if FIRST_CALL and states.is_dir():
        if names := made_with_other_code(states, code_digest(f"{stage}.{stage}")):
            logger.warning(
                f"Code of {stage} has changed since these were trained, which are kept: {', '.join(names)}. "
                f"To train them anew: --forcerun {stage} --config retrain=true"
            )


# One set-up for every environment: where the package lies, and ITK's threads beside those that Snakemake sets itself.
# RETRAIN, the numbers of GPUs and the digest are variables of the shell and no params: changing them must not start a job. The
# GPUs are those of the configuration, since a cluster's profile may ask for them by another resource.
RETRAIN = "--retrain" if str(config["retrain"]).lower() == "true" else "--no-retrain"
GPUS = " ".join(
    f"GPUS_{preset.upper()}={0 if config['device'] == 'cpu' else config['resources'][preset]['gpu']}"
    for preset in ("pretrain", "finetune", "segment")
)
CONFIG_SHA256 = bytes_digest(json.dumps(config, sort_keys=True, default=str).encode())
# A shell's prefix would be shown with the command of every job that fails; this is long.
os.environ[SETUP] = json.dumps(config, default=str)
shell.prefix(
    'set -euo pipefail; USERS_PYTHONPATH="${{PYTHONPATH:-}}"; '
    f"export PYTHONPATH={shlex.quote(str(REPOSITORY))} "
    f"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=$OMP_NUM_THREADS; RETRAIN={RETRAIN} CONFIG_SHA256={CONFIG_SHA256} {GPUS}; "
)


def of_study(function, **given):
    """Make a function of the study and of some wildcards (workflow_scripts/study) one of Snakemake's wildcards."""
    names = [name for name in inspect.signature(function).parameters if name != "study" and name not in given]

    def of_wildcards(wildcards):
        try:
            return function(STUDY, **given, **{name: wildcards[name] for name in names})
        except StudyError as error:
            raise WorkflowError(str(error)) from None

    return of_wildcards


def again(jobs):
    """An input function that names no file, and forces a whole job whose files are gone or newer than its record.

    Neither a param nor a removed record can tell it: the param would be another one in the next call, and a call that runs
    nothing must remove nothing. With `--touch`, the files of steps that ran as jobs of the study get their record.
    """
    names, path, files = of_study(jobs.changed), of_study(jobs.record), of_study(jobs.files)

    def of_wildcards(wildcards):
        record = path(wildcards)
        if workflow.touch:
            records.write_missing(record, files(wildcards))
        found = names(wildcards)
        forced = workflow.dag.forcefiles
        if found and record not in forced and FIRST_CALL:
            logger.info(f"{record}: its job runs again, as {found[0]} is gone or newer ({len(found)} files in all).")
        if found:
            forced.add(record)
        return []

    return of_wildcards


def of_call(wildcards, input):
    """Options of the call that steps go by, for a whole job's own Snakemake; no reason to run a job again (`batch`)."""
    factory = workflow.spawned_job_args_factory
    properties = (
        "deployment_settings.deployment_method",
        "deployment_settings.conda_prefix",
        "deployment_settings.conda_base_path",
        "rerun_triggers",
        "storage_settings.notemp",
    )
    return " ".join([*map(factory.workflow_property_to_arg, properties), *factory.get_set_resources_args()])


def no_environment(wildcards):
    """That of Snakemake itself: the job is a Snakemake, which gives each of its steps its own."""
    return None


def batch(wildcards, input):
    """The other cases of a batch. Snakemake takes no param of a function of `input` for a reason to run a job again."""
    return ",".join(of_study(arguments.batch)(wildcards))


def as_options(wildcards, input):
    """One option for every named input, so that a script gets the optional ones when they are there."""
    return options({key.replace("_", "-"): path for key, path in input.items()})


def head(path):
    """An output that shows a whole head: kept, or removed by Snakemake when all that read it are done."""
    return path if config["preprocess"]["keep_heads"] else temp(path)


def intermediate(path, head=False):
    """An output that only steps of the same case read, and maybe shows a ``head``: removed after use, unless kept."""
    kept = config["keep"] == "all" and (config["preprocess"]["keep_heads"] or not head)
    return path if kept else temp(path)


def code(module):
    """Digest of a rule's code as a param of its jobs: they run again when it changes, and not for a comment.

    Trainings have none. They are told of other code and keep what they have learned (common/training_store.py).
    """
    return lambda wildcards: code_digest(module)


def request(preset, longer=True):
    """Resources of a rule: a preset of config.yaml, `resources`.

    A second try asks for twice the memory, and the time unless not ``longer``, every later one for three times. A
    training comes back once for every time limit, and needs the time that it needed before.
    """
    asked = {key: value for key, value in config["resources"][preset].items() if key != "threads"}
    if (nodes := asked.pop("nodes", 1)) > 1:
        # GPUs of each node: a number of GPUs (`gpu`) would be that of the whole job, dealt to the nodes in any way.
        asked |= {"nodes": nodes, "gpu": 0, "gres": f"gpu:{asked['gpu']}"} if asked["gpu"] else {"nodes": nodes}
    return asked | {key: _grown(asked[key]) for key in ("mem_mb", *(["runtime"] if longer else []))}


def _grown(value):
    return lambda wildcards, attempt: value * min(attempt, 3)


def threads(preset):
    """Threads of a rule: a preset of config.yaml, `resources`."""
    return config["resources"][preset].get("threads", 1)


def hopeless(job):
    """Whether a step of this job has said that another try would end in the same way: a scan that cannot be used."""
    jobs = job.jobs if job.is_group() else [job]
    logs = [Path(log) for one in jobs for log in one.log]
    return any(HOPELESS in log.read_text(errors="replace") for log in logs if log.is_file())


# Snakemake's retries are for any failure. Time and memory of another try are more (`request`), a broken scan stays one.
for kind in (Job, GroupJob):
    if not hasattr(kind, "all_restart_times"):
        kind.all_restart_times = kind.restart_times
        kind.restart_times = property(lambda job: 0 if hopeless(job) else job.all_restart_times)


def targets(stage):
    """Files of the target all_<stage>; asked for only by whoever builds the target, and not by each job's parsing."""
    return of_study(stage_files, stage=stage)
