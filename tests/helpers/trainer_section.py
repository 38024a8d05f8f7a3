"""The section of the configuration from which the tests make trainers."""

SECTION = {
    "epochs": 2.5,
    "max_steps": None,
    "learning_rate": 0.003,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.1,
    "weight_decay": 0.02,
    "max_grad_norm": 0.7,
    "optimizer": "adafactor",
    "effective_batch": 8,
    "max_length": 128,
    "eval_interval": 0.25,
    "validation_rows": 200,
    "save_minutes": 2,
    "save_total_limit": 9,
    "early_stopping_patience": None,
    "packing": False,
    "liger_kernel": False,
}
