"""The published values in the methods' recipes; see tests/test_recipes.py."""

from __future__ import annotations

IMAGENET = {
    "data.name": "imagenet2012",
    "data.test": "validation",
    "schedules.cosine.scaling": "linear",
}
R50 = {**IMAGENET, "backbones.resnet.depth": 50}
VIT_S16 = {
    **IMAGENET,
    "backbones.vit.width": 384,
    "backbones.vit.depth": 12,
    "backbones.vit.patch": 16,
}
LARS = {
    "optimizers.lars.momentum": 0.9,
    "optimizers.lars.trust": 0.001,
    "schedules.cosine.warmup_epochs": 10,
}
SGD = {"optimizers.momentum.nesterov": False, "optimizers.momentum.weight_decay": 1e-4}
# arXiv:2006.07733, table 6: the two large views.
TWO_VIEWS = {
    "augmentations.multi_crop.size": 224,
    "augmentations.multi_crop.local": 0,
    "augmentations.multi_crop.area": (0.08, 1.0),
}
MOCO_VIEWS = {
    "augmentations.simclr.size": 224,
    "augmentations.simclr.strength": 0.5,
    "augmentations.simclr.area_min": 0.2,
}

PUBLISHED = {
    # arXiv:2006.07733, section 3.3.
    "byol_r50_pretrain": {
        **R50,
        **LARS,
        **TWO_VIEWS,
        "train.batch_size": 4096,
        "train.epochs": 1000,
        "schedules.cosine.base": 0.2,
        "optimizers.lars.weight_decay": 1.5e-6,
        "objectives.byol.hidden": 4096,
        "objectives.byol.dim": 256,
        "objectives.byol.decay": 0.996,
    },
    # arXiv:2006.09882, appendix A; 4.8 at a batch of 4096.
    "swav_r50_pretrain": {
        **R50,
        **LARS,
        "train.batch_size": 4096,
        "train.epochs": 800,
        "schedules.cosine.base": 4.8 * 256 / 4096,
        "optimizers.lars.weight_decay": 1e-6,
        "objectives.swav.local": 6,
        "objectives.swav.prototypes": 3000,
        "objectives.swav.temperature": 0.1,
        "objectives.swav.epsilon": 0.05,
        "objectives.swav.iterations": 3,
        "objectives.swav.freeze_steps": 313,
        "augmentations.multi_crop.local": 6,
        "augmentations.multi_crop.local_size": 96,
        "augmentations.multi_crop.area": (0.14, 1.0),
        "augmentations.multi_crop.local_area": (0.05, 0.14),
        "augmentations.multi_crop.solarize": (0.0, 0.0),
    },
    # The released code's defaults, and its command for a ResNet-50.
    "dino_r50_pretrain": {
        **R50,
        **SGD,
        "train.batch_size": 512,
        "train.epochs": 100,
        "schedules.cosine.base": 0.0005,
        "objectives.dino.local": 8,
        "objectives.dino.prototypes": 65536,
        "objectives.dino.teacher_temperature": 0.04,
        "augmentations.multi_crop.area": (0.14, 1.0),
    },
    # arXiv:2104.14294, section 3.2, and the released code's command of 300 epochs.
    "dino_vits16_pretrain": {
        **VIT_S16,
        "train.batch_size": 1024,
        "train.epochs": 300,
        "schedules.cosine.base": 0.0005,
        "backbones.vit.heads": 6,
        "optimizers.clipped.norm": 3.0,
        "optimizers.adamw.weight_decay": 0.04,
        "optimizers.adamw.final_weight_decay": 0.4,
        "objectives.dino.decay": 0.996,
        "objectives.dino.student_temperature": 0.1,
        "objectives.dino.warmup_temperature": 0.04,
        "objectives.dino.teacher_temperature": 0.07,
        "objectives.dino.warmup_steps": 30 * (1281167 // 1024),
        "objectives.dino.freeze_steps": 1281167 // 1024,
        "objectives.dino.centre_decay": 0.9,
    },
    # arXiv:2003.04297, table 1 and 2.
    "moco_v2_r50_pretrain": {
        **R50,
        **SGD,
        **MOCO_VIEWS,
        "train.batch_size": 256,
        "train.epochs": 800,
        "schedules.cosine.base": 0.03,
        "objectives.moco_v2.bank": 65536 // 256,
        "objectives.moco_v2.decay": 0.999,
        "objectives.moco_v2.temperature": 0.2,
        "objectives.moco_v2.dim": 128,
    },
    # arXiv:2104.02057, and the released code's commands.
    "moco_v3_r50_pretrain": {
        **R50,
        **LARS,
        "augmentations.multi_crop.area": (0.2, 1.0),
        "train.batch_size": 4096,
        "train.epochs": 300,
        "schedules.cosine.base": 0.3,
        "optimizers.lars.weight_decay": 1e-6,
        "objectives.moco_v3.decay": 0.99,
        "objectives.moco_v3.temperature": 1.0,
    },
    "moco_v3_vits16_pretrain": {
        **VIT_S16,
        **TWO_VIEWS,
        "train.batch_size": 4096,
        "train.epochs": 300,
        "schedules.cosine.base": 1.5e-4,
        "schedules.cosine.warmup_epochs": 40,
        "optimizers.adamw.weight_decay": 0.1,
        "backbones.vit.heads": 12,
        "backbones.vit.freeze_patches": True,
        "objectives.moco_v3.projection_layers": 3,
        "objectives.moco_v3.temperature": 0.2,
    },
    # arXiv:2011.10566, section 3.
    "simsiam_r50_pretrain": {
        **R50,
        **SGD,
        **MOCO_VIEWS,
        "train.batch_size": 256,
        "train.epochs": 100,
        "schedules.cosine.base": 0.05,
        "objectives.simsiam.projection_layers": 3,
        "objectives.simsiam.hidden": 512,
        "objectives.simsiam.dim": 2048,
    },
    # arXiv:2103.03230, section 2.2.
    "barlow_r50_pretrain": {
        **R50,
        **LARS,
        **TWO_VIEWS,
        "train.batch_size": 2048,
        "train.epochs": 1000,
        "schedules.cosine.base": 0.2,
        "optimizers.by_path.rates": {"(^|/)(bias|gamma|beta)$": 0.024},
        "optimizers.lars.weight_decay": 1.5e-6,
        "objectives.barlow.dim": 8192,
        "objectives.barlow.redundancy": 0.0051,
    },
    # arXiv:2105.04906, section 4.2.
    "vicreg_r50_pretrain": {
        **R50,
        **LARS,
        **TWO_VIEWS,
        "train.batch_size": 2048,
        "train.epochs": 1000,
        "schedules.cosine.base": 0.2,
        "optimizers.lars.weight_decay": 1e-6,
        "objectives.vicreg.dim": 8192,
        "objectives.vicreg.invariance": 25.0,
        "objectives.vicreg.variance": 25.0,
        "objectives.vicreg.covariance": 1.0,
    },
    # arXiv:2004.11362, section 4.4.
    "supcon_r50_pretrain": {
        **R50,
        **LARS,
        "train.batch_size": 6144,
        "train.epochs": 700,
        "objectives.supcon.temperature": 0.1,
        "objectives.supcon.dim": 128,
    },
    # arXiv:2110.06848, abstract.
    "dcl_r50_pretrain": {
        **R50,
        "train.batch_size": 256,
        "train.epochs": 200,
        "objectives.dcl.temperature": 0.1,
    },
    # arXiv:2104.14548, section 4.1.
    "nnclr_r50_pretrain": {
        **R50,
        **LARS,
        **TWO_VIEWS,
        "train.batch_size": 4096,
        "train.epochs": 1000,
        "schedules.cosine.base": 0.3,
        "optimizers.lars.weight_decay": 1e-6,
        "objectives.nnclr.bank": 98304 // 4096,
        "objectives.nnclr.temperature": 0.1,
        "objectives.nnclr.hidden": 2048,
        "objectives.nnclr.dim": 256,
        "objectives.nnclr.predictor_hidden": 4096,
    },
    # arXiv:2011.10566, appendix D.
    "simsiam_cifar10_pretrain": {
        "data.name": "cifar10",
        "train.batch_size": 512,
        "train.epochs": 800,
        "backbones.resnet.depth": 18,
        "schedules.cosine.base": 0.03,
        "optimizers.momentum.weight_decay": 5e-4,
        "objectives.simsiam.projection_layers": 2,
    },
}

LIKE_SIMCLR = (
    *("barlow", "byol", "dcl", "dino", "moco_v2", "moco_v3", "nnclr", "supcon", "swav"),
    "vicreg",
)
"""Methods whose recipe for CIFAR-10 has the optimisation of SimCLR's."""
