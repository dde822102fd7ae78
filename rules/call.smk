# What a call is told before its jobs begin, or why it may not begin.
import contextlib
import io
import sys

from snakemake.cli import parse_args
from snakemake.exceptions import InputFunctionException
from snakemake.settings.types import DeploymentMethod

from workflow_scripts.study.call import check_swallowed, check_targets
from workflow_scripts.study.places import require_safe
from workflow_scripts.study.targets import require_arms, stage_of
from workflow_scripts.study.whole_jobs import ALL_STEPS, FORCED
from workflow_scripts.study.working_folder import messages


def check_jobs_when_known():
    """Check the jobs of the call before the first begins; of a target that cannot be, tell the reason alone."""
    build = workflow._build_dag

    def build_and_check():
        try:
            build()
        except InputFunctionException as error:
            reason, _, _ = str(error).partition("\nTraceback:")
            if "WorkflowError" in reason:  # of `of_study`, to which Snakemake adds lines of these rules
                raise WorkflowError(reason) from None
            raise
        if STUDY.case_jobs:
            check_jobs()

    workflow._build_dag = build_and_check


def check_jobs():
    """Stop where single steps make files that other jobs of the call make or read by their record."""
    running = [job for job in workflow.dag.jobs if workflow.dag.needrun(job) and job.output]
    running.sort(key=lambda job: job.rule.name not in steps.WHOLE_JOBS)  # the message names them before others
    single = {}
    for kind, record in ((steps.CASE_STEPS, case_jobs.record), (steps.BATCH_STEPS, batch_jobs.record_of_case)):
        alone = [job for job in running if job.rule.name in steps.names(kind)]
        single |= {of_study(record)(job.wildcards): job.output[0] for job in alone}
    try:
        steps.require_alone(single, ((job.rule.name, [*job.input, *job.output]) for job in running))
    except StudyError as error:
        raise WorkflowError(str(error)) from None


def check_call():
    """Name the targets that there are when a call asks for another one, and stop where jobs cannot be sent.

    Snakemake's own messages name no target, and a cluster's jobs fail in a path with a space without a word.
    """
    called = Path(sys.argv[0])
    if not FIRST_CALL or "snakemake" not in (called.name, called.parent.name):
        return
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it names the profiles, which Snakemake has done
            _, call = parse_args(sys.argv[1:])
    except SystemExit:  # Snakemake found the profile where it was called, and works elsewhere since
        raise WorkflowError("With --directory, a profile is named by its whole path (--profile).") from None
    # The jobs of a cluster inherit it.
    forced = [*map(str, call.forcerun or []), *(call.targets if call.force else [])]
    os.environ[FORCED] = ALL_STEPS if call.forceall else "\n".join(forced)
    if not (call.unlock or call.touch):
        whole_jobs = STUDY.results if STUDY.case_jobs else None
        for message in messages(Path.cwd(), called.name, sys.argv[1:], whole_jobs):
            logger.warning(message)
    asked = call.targets
    # With a storage plugin the rules' outputs have other names than the targets, which Snakemake then checks alone.
    files = [
        target
        for target in asked
        if Path(target).exists()
        or (call.default_storage_provider and "/" in target)
        or any(r.is_producer(target) for r in workflow.rules)
    ]
    rules_alone = [r.name for r in workflow.rules if not r.has_wildcards()]
    names = [name for name in rules_alone if name.split("_")[0] in ("all", "cohort", "arm", "labels", "export", "new")]
    try:
        if call.executor not in (None, "local", "dryrun", "touch"):
            require_safe(call.executor, (REPOSITORY, Path.cwd(), STUDY.results, sys.executable))
        if DeploymentMethod.APPTAINER in call.software_deployment_method and not config["container"]:
            raise StudyError("--sdm apptainer: key container of the configuration names no image (docs/cluster.md, 5).")
        if not asked:
            check_swallowed(
                {"--until": call.until, "--omit-from": call.omit_from, "--forcerun": call.forcerun or []}, names
            )
        if STUDY.case_jobs:
            steps.require_jobs("--until", call.until)
            steps.require_jobs("--omit-from", call.omit_from)
            steps.require_jobs("--forcerun", call.forcerun or [], together=True)
            removing = {"--delete-all-output": call.delete_all_output, "--delete-temp-output": call.delete_temp_output}
            steps.require_files_known(removing)
        check_targets(asked, names, STUDY.left_out, [*files, *rules_alone])
        if not (call.list_rules or call.list_target_rules or call.lint or call.unlock):
            for target in asked or ["all_report"]:
                require_arms(STUDY, stage_of(STUDY, target))
    except StudyError as error:
        raise WorkflowError(str(error)) from None
    check_jobs_when_known()
