"""A training that test_training_processes.py starts: JOB FOLDER DEVICES NODES [resume]."""

import sys
from pathlib import Path

from elman.tasks import ClassifyModel, DescribeModel, ForecastModel, MusicModel, TagModel, TextModel, TranslateModel

WORDS = [a + b + c for a in "abc" for b in "abcdef" for c in "abcdef"]
SMALL = {"hidden_size": 6, "epochs": 3, "seed": 1}

JOBS = {
    "classify": lambda: (
        ClassifyModel(input="text", label="label", embedding=4, batch_size=11, ensemble=2, **SMALL, dropout=0.0),
        [{"text": word, "label": word[0]} for word in WORDS],
    ),
    "tag": lambda: (
        TagModel(input="text", tags="tags", unit="char", embedding=4, crf=True, batch_size=10, **SMALL, dropout=0.0),
        [{"text": word, "tags": list(word[::-1])} for word in WORDS],
    ),
    "translate": lambda: (
        TranslateModel(embedding=4, batch_size=9, **SMALL, dropout=0.0),
        [{"input": word, "output": word[::-1]} for word in WORDS],
    ),
    "text": lambda: (TextModel(embedding=4, batch_size=4, window=16, **SMALL, dropout=0.0), " ".join(WORDS)),
    "forecast": lambda: (
        ForecastModel(horizon=4, season=(6,), **SMALL, dropout=0.0),
        [{"time": f"{1990 + n // 12}-{1 + n % 12:02}-01", "y": (n * n) % 17 + 0.1 * n} for n in range(150)],
    ),
    "describe": lambda: (
        DescribeModel(input=("a", "b"), output="said", embedding=4, batch_size=9, **SMALL, dropout=0.0),
        [{"a": n % 7, "b": n % 5, "said": "small " * (n % 7 > 3) + WORDS[n % 5]} for n in range(90)],
    ),
    "music": lambda: (
        MusicModel(kind="binary", updates=8, batch_size=3, **SMALL, dropout=0.0),
        [{"steps": [[(t + n) % 3 == k for k in range(5)] for t in range(9 + n % 4)]} for n in range(22)],
    ),
    "dropped": lambda: (
        TranslateModel(embedding=4, batch_size=9, **SMALL, dropout=0.4),
        [{"input": word, "output": word[::-1]} for word in WORDS],
    ),
}


def train(job, folder, devices, nodes, resume):
    model, data = JOBS[job]()
    out = Path(folder) / "m.elman"
    model.fit(data, out=out, devices=devices, nodes=nodes, device="cpu", threads=1, save_every=0, resume=resume)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), len(sys.argv) > 5)
