# What a storage plugin asks of the rules: it keeps the results, gives jobs copies of them by other paths, and leaves what the
# user has given where it is.


def is_given(path):
    """Whether a path is the user's: outside the results, or where scans lie (those of the demo lie in the results)."""
    return not path.startswith(f"{STUDY.results}/") or path.startswith(f"{config['cases_root']}/")


def given(of_wildcards):
    """Mark the user's paths among those that a function of wildcards names: they stay where they are."""

    def marked(files):
        if isinstance(files, dict):
            return {name: marked(one) for name, one in files.items()}
        if isinstance(files, list):
            return [marked(one) for one in files]
        return local(files) if is_given(files) else files

    return lambda wildcards: marked(of_wildcards(wildcards))


def stage_folder(folder):
    """The folder in which a stage keeps all cases, as a param; many paths are longer than a command line may be.

    A storage plugin gives the inputs of a job other paths, so the folder is where they are.
    """
    place = paths.stage_folder(STUDY.results, folder)
    return lambda wildcards, input: paths.local_folder(place, input)


def arm_masks(wildcards, input):
    """The folder of an arm's masks, as a param."""
    return paths.local_folder(paths.file(STUDY.results, "segmented", arm=wildcards.arm), input)


def where_kept(of_wildcards):
    """A param of arguments, with each file of the results where the job finds it.

    Where they hold settings too, the plain arguments stand beside it: a param of a function of `input` is no reason to run
    a job again.
    """
    return lambda wildcards, input: [paths.local_file(word, input) for word in of_wildcards(wildcards)]


def constrain_storage():
    """Let storage plugins know the constraints of wildcards.

    Snakemake 9.27 adds them to the query of an output, from which the plugin for S3 has taken its path before.
    """
    for one in workflow.modifier.rules:  # not those of a workflow that has this one as a module
        stored = [output for output in one.output if output.is_storage]
        for output in stored:
            output.storage_object.__post_init__()
        if stored:
            one.update_wildcard_constraints()
