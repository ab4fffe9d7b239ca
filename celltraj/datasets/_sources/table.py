"""The original files: addresses, checksums, licences, citations.

Every checksum is that of the file in the repository at the commit that the address names.
"""

from __future__ import annotations

from celltraj.datasets._sources.original import Original

_RAW = "https://raw.githubusercontent.com/"
_SBIRR = _RAW + "YunyiShen/SBIRR/77f2f661afae39553dad626960d8d185567ddfe5/"
_MULTI = (
    _RAW + "YunyiShen/mmTrajectory-inference-benchmarks/bff2efdf4c49744f33b3397cbcf5bfe12c1439fc/"
)
_SCUBA = _RAW + "gcyuan/SCUBA/49484f3f96aa62e24e87be3ad006d0d3d450e6c3/"
_GRANDPRIX = _RAW + "ManchesterBioinference/GrandPrix/2790cb01d6cc8a1bd5a62de642c09be3a56324c2/"
_SCODE = _RAW + "hmatsu1226/SCODE/d481cd807b9b44e8148d540cdac15cbcae159478/"
_DEEPRUOT = _RAW + "zhenyiizhang/DeepRUOT/2289c81032010922aadd9f848db9ffb1a10efb48/"
_TIGON = _RAW + "yutongo/TIGON/1ed92cfcc250415fc01b4d344a308b0680cc9635/"
_MOSCOT = _RAW + "theislab/moscot/0741c82411be30b3df2ec1b6ffe884ad1b9dcc2d/"
_LEMUR = _RAW + "const-ae/lemur/0e62bc1287b17deec678f7db435ec09098a475f2/"
_HARMONY = _RAW + "immunogenomics/harmony/df19af23ae0639bd6ea2da63898f973f08c85862/"
_DEMUXLET = _RAW + "yelabucsf/demuxlet_paper_code/ec493d3a4fdb78a1141588c196358dfab1030935/"
_LARRY = _RAW + "scDiffEq/LARRY-dataset/3966ea5ee85057a4bb9b19e6f2e21d95ee5304be/"

_UNSTATED = "None stated by the repository"
_SCODE_LICENCE = "MIT, Copyright (c) 2016 Hirotaka Matsumoto"
_DEEPRUOT_LICENCE = "MIT, says the readme, with a non-commercial licence for some of its code"
_LARRY_LICENCE = "MIT of the repository; none stated for the files of the paper"

_MOON = "Moon et al. 2019, doi:10.1038/s41587-019-0336-3; as used by Shen et al. 2024"
_CHU = "Chu et al. 2016, doi:10.1186/s13059-016-1033-x"
_SHEN = "Shen et al. 2024, arXiv:2408.06277"
_KANG = "Kang et al. 2018, doi:10.1038/nbt.4042"
_JIANG = "Jiang et al. 2024, PMC10153191"
_GUO = "Guo et al. 2010, Developmental Cell 18(4), 675-685"
_SHALEK = "Shalek et al. 2014, doi:10.1038/nature13437"
_COOK = "Cook & Vanderhyden 2020, doi:10.1038/s41467-020-16066-2"
_ZHANG = "Zhang et al. 2025, arXiv:2410.00844"
_WEINREB = "Weinreb et al. 2020, doi:10.1126/science.aaw3381"
_BARGAJE = "Bargaje et al. 2017, doi:10.1073/pnas.1621412114"
_SCHIEBINGER = "Schiebinger et al. 2019, doi:10.1016/j.cell.2019.01.006"
_ZHAO = "Zhao et al. 2021, doi:10.1186/s13073-021-00894-y"

ORIGINALS = (
    Original(
        "eb_pca5.npy",
        _SBIRR + "Notebooks/data/eb_data.npy",
        "d15fc2070bde4dd2ae41d846fe765426457826dbb85607edfba93324779ea242",
        60_128,
        _UNSTATED,
        _MOON,
    ),
    Original(
        "hesc_pca5.npy",
        _SBIRR + "Notebooks/data/hESC_data.npy",
        "1c699db163318ca5d8aa612f03522702cf242cca26bec5e6afa7efbe69817b3a",
        11_934,
        _UNSTATED,
        _CHU,
    ),
    Original(
        "lotka_volterra.npy",
        _SBIRR + "Notebooks/data/LV_data.npy",
        "046bca800e73da683b4f37af89fe15792966e71d9dbc16ec3fce194bafea7e23",
        7_328,
        _UNSTATED,
        _SHEN,
    ),
    Original(
        "repressilator.npy",
        _SBIRR + "Notebooks/data/repres_data.npy",
        "4d637f49e6b6b47a3f8b50a59a13ea6bd86f5054f23b4d37e81840878f3216e2",
        13_328,
        _UNSTATED,
        _SHEN,
    ),
    Original(
        "gulf_vortex.npy",
        _SBIRR + "Notebooks/data/GoMvortex_data.npy",
        "b2603b1767b83f8810bc94c4d252f485b44cdb82e14a9a1858883f6aa1025020",
        16_112,
        _UNSTATED,
        _SHEN,
    ),
    Original(
        "lotka_volterra_200.npz",
        _MULTI + "asset/LV_data.npz",
        "3b0d2cad0dc8c8593259a764c8d48df42a55f9249e6c33d65747ef10c31ec4e7",
        18_394,
        "MIT; the readme puts these data under it",
        _SHEN,
    ),
    Original(
        "pbmc_programs.npz",
        _MULTI + "asset/processed_pbmc_data_sub500_every_2_until20.npz",
        "dcad24192c61804e135f01a5b4b74aaaff48d4ab63301e0bb94a5ef0ebdce821",
        3_563_272,
        "CC BY-NC 4.0, says the readme",
        _JIANG,
    ),
    Original(
        "guo_embryo.txt",
        _SCUBA + "sample_data/guo2010/guo2010Data.txt",
        "533f5b3eedee51a2d8efec7464d9a2e525e679220fb9c3ffa1f753f2ad7c20f1",
        113_732,
        _UNSTATED,
        _GUO,
    ),
    Original(
        "shalek_lps.expression.csv",
        _GRANDPRIX + "data/Shalek/ShalekTrainingData.csv",
        "31d6f6089cccd7e6f2534737b48f6289257fa2ac838fe4805461fa7212d3dd02",
        399_266,
        "Apache-2.0 of the repository; none stated for the measurements",
        _SHALEK,
    ),
    Original(
        "shalek_lps.cells.csv",
        _GRANDPRIX + "data/Shalek/ShalekCellMeta.csv",
        "bd20c6cd8786cf7ba29e672ac879f2140e446e99243e466534caf304b00d4e98",
        141_069,
        "Apache-2.0 of the repository; none stated for the measurements",
        _SHALEK,
    ),
    Original(
        "hesc_tf.data.txt",
        _SCODE + "data3/data.txt",
        "88504a2db6479ec66baf5051fdda9cb8a1a781d03a352b3df1268a140e6cad36",
        952_488,
        _SCODE_LICENCE,
        _CHU,
    ),
    Original(
        "hesc_tf.tf.txt",
        _SCODE + "data3/tf.txt",
        "4b3f41dad77f4d09e35e41484a96b87572597a492b789bcd43ad132a144c64a8",
        568,
        _SCODE_LICENCE,
        _CHU,
    ),
    Original(
        "hesc_tf.time.txt",
        _SCODE + "data3/time.txt",
        "fc90b73fafa062fec479a499b6486725f9b2a4df58b3ed595c92824e88761d1f",
        14_986,
        _SCODE_LICENCE,
        _CHU,
    ),
    Original(
        "emt_a549.csv",
        _DEEPRUOT + "data/emt.csv",
        "820eca0ca6a9b8c5aba970dda04052b2e2ea4489b712b948559fe5cd185a8294",
        337_854,
        _DEEPRUOT_LICENCE,
        _COOK,
    ),
    Original(
        "growing_gaussians_10d.csv",
        _DEEPRUOT + "data/gaussian_10d.csv",
        "85f20ad7d9227455dcb9981fd75c293946e28104bb94d77837c793c054f63f8b",
        399_427,
        _DEEPRUOT_LICENCE,
        _ZHANG,
    ),
    Original(
        "hematopoiesis_2d.csv",
        _DEEPRUOT + "data/mouse_hematopoiesis.csv",
        "be4360cd67e76205501de63124379be5c82506748e018197a3fdb4dbb1c7ca2f",
        475_201,
        _DEEPRUOT_LICENCE,
        _WEINREB,
    ),
    Original(
        "gene_circuit_growth.csv",
        _DEEPRUOT + "data/simulation_gene_data.csv",
        "d41e3bcd94ff55383264461f2eed048780dbea8faffb77011cff9b8dce231d10",
        124_310,
        _DEEPRUOT_LICENCE,
        _ZHANG,
    ),
    Original(
        "ipsc_latent4.npy",
        _TIGON + "Input/Bifurcation.npy",
        "d663a9e7de455ffbe96ae3cce88dfac6c4d1096157269e3aae161eed36d00a75",
        61_334,
        "MIT of the repository, with year and holder not filled in",
        _BARGAJE,
    ),
    Original(
        "reprogramming.h5ad",
        _MOSCOT + "tests/data/moscot_temporal_tests.h5ad",
        "a35e7a99a243eee02154016f02f3fda3ad7ffad7e44fb00e3f814f1a36afbedf",
        2_833_628,
        "BSD-3-Clause of the repository; none stated for the measurements",
        _SCHIEBINGER,
    ),
    Original(
        "glioblastoma.rda",
        _LEMUR + "data/glioblastoma_example_data.rda",
        "4e56d9cff16fb6750dd0054a0f7f05a7429c612906dc610c8dd44cb3e60de37e",
        2_701_955,
        "MIT of the package that holds the sample; none stated for the measurements",
        _ZHAO,
    ),
    Original(
        "kang_counts.counts.RData",
        _HARMONY + "data/pbmc_stim.RData",
        "d85a18ce8ec9dcb4ac86c8e195ed53ff893c5952a7d6bf70035a17856c9dc0ef",
        2_550_930,
        "GPL-3 of the package that holds the sample; none stated for the measurements",
        _KANG,
    ),
    Original(
        "kang_counts.control.txt",
        _DEMUXLET + "fig3/ye1.ctrl.8.10.sm.best",
        "2eb8556fa52ed03b598463ac844af68e09492d963960e4c260503fad6b00c393",
        2_357_149,
        _UNSTATED,
        _KANG,
    ),
    Original(
        "kang_counts.treated.txt",
        _DEMUXLET + "fig3/ye2.stim.8.10.sm.best",
        "dbed385727f880920a35acf82e3354161ca51a00bddeea4e7fac6fcdde73dfb5",
        2_338_588,
        _UNSTATED,
        _KANG,
    ),
    Original(
        "larry_spring.coordinates_x.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/coordinates_x.npy",
        "2cf25c8ac60b15e32e74c00b6db489d45782538a6ca2d529686b50e0b1683358",
        1_047_176,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.coordinates_y.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/coordinates_y.npy",
        "518d3a419ca866d6463a59744f4ba3a48abb52b6f4abb3afd50404a44cd91791",
        1_047_176,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.timepoints.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/timepoints.npy",
        "7bf1d321c09483e227ae230e5267e54bc463eaa73c96afda17834f27ffb7e3b2",
        1_047_176,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.trajectory.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/neutrophil_monocyte_trajectory_mask.npy",
        "53f959ecde12535abbe0baf2e01ae6307c15040f8a1289aded9520a94ef91c5b",
        130_967,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.truth.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/smoothed_groundtruth_from_heldout.npy",
        "1ef2f6e009a10f5dd6e4b662dd2461934857928a277c81f2024776512267e06a",
        161_336,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.pba.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/PBA_predictions.npy",
        "c0d8797bc4c0e137df44aef3423e6f25721da93a5fa9e420dca0c5d0a6a4c529",
        161_336,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.wot.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/WOT_predictions.npy",
        "55cbe8d1f48346b75c13f5f1a1a452fbb44a3641fe61cac46b44227f6b34c936",
        161_336,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.fateid.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/FateID_predictions.npy",
        "feb6aa535e25d33358128edb84dc516fb4da4d427b95b6035b5f9b194a5593bd",
        161_336,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.heldout.npy",
        _LARRY + "assets/files/Figure5_Weinreb2020/heldout_mask.npy",
        "403ab0c25b469c395025017302445025a9f141b497e0de62bcfe8d577decca70",
        20_237,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.fates.npy",
        _LARRY + "assets/files/Figure3_Weinreb2020/BMq.npy",
        "42ae1a4679fb1c5eb37f43255b3aedfcb96671c102516a6713b1a8244b70fe8e",
        2_260_048,
        _LARRY_LICENCE,
        _WEINREB,
    ),
    Original(
        "larry_spring.fate_names.txt",
        _LARRY + "assets/files/Figure3_Weinreb2020/FINAL_fate_names.txt",
        "1315b143f7af43a2194365b817a4f1154ad62ccc83ce3a588c4d7994905d2cf2",
        68,
        _LARRY_LICENCE,
        _WEINREB,
    ),
)

# data sets whose original files could not be tried, and what is known of them
UNTRIED = {
    "eb_phate2d": "a layout of the embryoid bodies of Moon et al. 2019 "
    "(https://data.mendeley.com/datasets/v6n743h5ng), whose own file has no known address",
    "kang_pca5": "a set of components of GEO series GSE96583, whose own file has no known address "
    "(all cells: https://exampledata.scverse.org/pertpy/kang_2018.h5ad)",
}

# columns of obs that a data set lacks if made of its original files, and where theirs are
MISSING = {
    "kang_counts": (
        "cell_type",
        "its labels are of another source, whose file has no known address",
    ),
    "larry_spring": (
        "growth_score",
        "it is in a pickled file of torch (Weinreb2020_growth-all_kegg.pt, Zenodo record 21947161)",
    ),
}
