"""Checksum and origin of every data set file."""

# name: (sha256 of name.h5ad, source)
FILES: dict[str, tuple[str, str]] = {
    "eb_pca5": (
        "a0d4f2c14e73b04b4dd1366a3db98d769815106277b1e42be11e71f78a67b008",
        "Moon et al. 2019, embryoid bodies; first 5 PCs, standardised, 300 cells per "
        "window (as used by Shen et al. 2024)",
    ),
    "eb_phate2d": (
        "d7ee9508c15eee34ebb56eb6c827ca60079eab7d5be8824b4d89366d092c40ee",
        "Moon et al. 2019, embryoid bodies, 2-D PHATE, standardised; coordinates under "
        "a non-commercial licence, benchmark use only",
    ),
    "hesc_pca5": (
        "f661be77c362b604c16d6581134733f5fce06aafbccda0e372ac5e3b348f8653",
        "Chu et al. 2016, GSE75748, hESC to definitive endoderm; first 5 PCs / 10 (as "
        "used by Shen et al. 2024)",
    ),
    "hesc_tf": (
        "d5680ae86b643c1bd968c0c3eecb0103300f75c240375ef30384a66075d6b51f",
        "Chu et al. 2016, hESC to definitive endoderm, 100 transcription factors, log "
        "expression, 6 times",
    ),
    "lotka_volterra": (
        "c37a660b515e120e2f0e4e03e88822de73c4f6b0063820b0b7ae54e62ae6291c",
        "simulated Lotka-Volterra, a=1 b=.4 g=.4 d=.1, sigma=.1, x0~U[5,5.1]xU[4,4.1]; "
        "times 1,3,5,7 are held out",
    ),
    "lotka_volterra_200": (
        "7857813de375324b5115642904f6ccafad3a999df4bba52736ab3363cad4a012",
        "simulated Lotka-Volterra, 11 times x 200 cells; via "
        "YunyiShen/mmTrajectory-inference-benchmarks asset/LV_data.npz",
    ),
    "repressilator": (
        "cc47c31ccb4007854c7fd311cd092877b4ed8022db458beceaf038230d251f3a",
        "simulated repressilator, beta=10 n=3 k=gamma=1, sigma=.1",
    ),
    "gulf_vortex": (
        "f248d6649bf7a47433668bff3a07eaa9404b1800db2a95249a9767b5df550e00",
        "HYCOM ocean drifters, Gulf of Mexico vortex",
    ),
    "emt_a549": (
        "1bb446e7032cd5b782e7d6081a65919d8a931e5582dba36941bc5665a5d27981",
        "Cook & Vanderhyden 2020, A549 TGFB1 EMT, 10-D autoencoder latent",
    ),
    "ipsc_latent4": (
        "1eb36309eb041e4133a65fc82088a13852344eb87e90877917440cf3bd280e54",
        "Bargaje et al. 2017, iPSC to cardiomyocyte, 4-D latent (as used by TIGON)",
    ),
    "hematopoiesis_2d": (
        "2978935fe7e4b62c57de26033ae409411f48b63f32da2092588f4680aa7edd13",
        "Weinreb et al. 2020 mouse haematopoiesis, 2-D layout, cell numbers grow 1429 "
        "-> 3781 -> 5788",
    ),
    "guo_embryo": (
        "99595a39f18b118f7a3a01551e683a805b3505b037ea147875650c1f4f278418",
        "Guo et al. 2010, qPCR of single cells of mouse embryos, 4-cell to 64-cell stage "
        "(time = number of divisions, 2 to 6), 5 PCs of 28 - Ct; licence not stated",
    ),
    "shalek_lps": (
        "665166d3ee345ca7e82b77d60895f8c57b1489199aa4169bbba371de939ed7c2",
        "Shalek et al. 2014, LPS-stimulated dendritic cells, hours, 5 PCs; via "
        "ManchesterBioinference/GrandPrix data/Shalek",
    ),
    "pbmc_programs": (
        "ebcf48214f808549d261d42e97cb9352e13e9e04f000a86e1210ebaf734018f4",
        "Jiang et al. 2024 PBMC immune time course, 30 gene programs, 500 cells an "
        "hour; CC BY-NC 4.0, benchmark use only",
    ),
    "growing_gaussians_10d": (
        "9058694ec6c3756b3413b0d8a5b378782fe0aaacccb16c4ae6c7151431262a7a",
        "simulated populations with known growth (gaussian_10d.csv), from the DeepRUOT benchmark",
    ),
    "larry_spring": (
        "a8c8dc60248d1e95caaa89ed6b3d97a81668fae27bef63daf2d343c93cbd7974",
        "Weinreb et al. 2020 LARRY in vitro, all 130,887 cells, SPRING coordinates",
    ),
    "reprogramming": (
        "ea12bac30e7eeb1cda00e21c6f2576d027ef7f27cb283568626fc1dce4ed620d",
        "Schiebinger et al. 2019 reprogramming, days 10, 10.5, 11, 1,479 genes, with the couplings "
        "computed by Waddington-OT",
    ),
    "gene_circuit_growth": (
        "a20618419c76a1accd5c325955435e32ac4b51cf45d6f2e4eb00f89b58a72d63",
        "simulated populations with known growth (simulation_gene_data.csv), from the DeepRUOT "
        "benchmark",
    ),
    "kang_pca5": (
        "6ccde743eecb13bc6a2b557da2b661a04cd50a04d3c0437062d7de11bdc3a722",
        "Kang et al. 2018, GSE96583, PBMC of 8 donors, control and 6 h interferon beta; 5 PCs",
    ),
    "kang_counts": (
        "a6988033ed5b95e0478349909c37b46ca7c32a5fc248eb74e8b709fb5cc4025b",
        "Kang et al. 2018, GSE96583, raw counts of 2,000 cells",
    ),
    "glioblastoma": (
        "0e0698251ef92d5af2972093665b18de09e914a631a8f0b55aaa0334239843c9",
        "Zhao et al. 2021, glioblastoma slices of 5 patients, control and panobinostat, raw counts",
    ),
}
