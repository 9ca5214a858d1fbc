"""Training: `python -m engine.train RUN_DIR`, a process of its own whose files are its interface.

    worker      one trainer's life: lock, journal, heartbeat, signals, and how it ends
    loop        epochs, steps, validation, saving: the shape of a training
    session     what a training works on: model, adapted parts, examples, plan
    batches     which examples make a batch, in which order (pure)
    schedule    the learning rate of a step (pure)
    seeds       every random draw from the run's one seed (pure, and setting the generators)
    lora        adapters on the parts of a model, by PEFT
    state_files the optimizer's state and the place in the data, without pickles
    journal     events, their snapshot, the heartbeat
    control     stop flag, signals, room on the disk
    faults      what an exception means, in a sentence with the mend

Opens no database and knows no page. Exact resume rests on two rules: all that decides a step is in the checkpoint or
follows from (seed, step), and nothing is drawn from a generator that was not set for that step.
"""
