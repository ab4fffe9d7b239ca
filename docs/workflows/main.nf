// From a file of snapshots to scores, fates, transitions, drivers, trajectories and a page about the run:
//
//     nextflow run main.nf --data data.h5ad --time_key day --groupby cell_type
//
// A step that fails ends with status 2 and one line on stderr, which Nextflow shows.

params.data = 'data.h5ad'
params.time_key = 'time'
params.groupby = 'cell_type'
params.start = 0  // sampling times, as numbers or labels
params.stop = 2
params.fit_options = ''  // such as '--model flow --use-rep X_pca --seed 1'
params.outdir = 'results'

process FIT {
    publishDir params.outdir, mode: 'copy'

    input:
    path data

    output:
    path 'run'

    script:
    """
    celltraj fit ${data} --time-key '${params.time_key}' --out run --quiet ${params.fit_options}
    """
}

process COUPLINGS {
    input:
    path run

    output:
    path 'coupled.h5ad'

    script:
    """
    celltraj couplings ${run}/fitted.h5ad --model ${run}/model --out coupled.h5ad --quiet
    """
}

process FATES {
    publishDir params.outdir, mode: 'copy'

    input:
    path coupled

    output:
    path 'fates.h5ad'

    script:
    """
    celltraj fates ${coupled} --groupby '${params.groupby}' --out fates.h5ad --quiet
    """
}

process TRANSITIONS {
    publishDir params.outdir, mode: 'copy'

    input:
    path coupled

    output:
    path 'transitions.csv'

    script:
    """
    celltraj transitions ${coupled} --groupby '${params.groupby}' --out transitions.csv --quiet
    """
}

process DRIVERS {
    publishDir params.outdir, mode: 'copy'

    input:
    path fates

    output:
    path 'drivers.csv'

    script:
    """
    celltraj drivers ${fates} --out drivers.csv --quiet
    """
}

process SIMULATE {
    publishDir params.outdir, mode: 'copy'

    input:
    path run

    output:
    path 'simulated.h5ad'

    script:
    """
    celltraj simulate ${run}/model ${run}/fitted.h5ad --time-key '${params.time_key}' \\
        --start '${params.start}' --stop '${params.stop}' --out simulated.h5ad --quiet
    """
}

process REPORT {
    publishDir params.outdir, mode: 'copy'

    input:
    path run
    path cells
    path trajectories

    output:
    path 'report.html'

    script:
    // the run is an input, into which nothing may be written
    """
    celltraj report ${run} --cells ${cells} --trajectories ${trajectories} --out report.html --quiet
    """
}

workflow {
    run = FIT(channel.fromPath(params.data, checkIfExists: true))
    coupled = COUPLINGS(run)
    fates = FATES(coupled)
    TRANSITIONS(coupled)
    DRIVERS(fates)
    REPORT(run, fates, SIMULATE(run))
}
