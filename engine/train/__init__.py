"""Training: `python -m engine.train RUN_DIR`, a process of its own whose files are its interface.

    worker      one trainer's life: lock, journal, heartbeat, signals, and how it ends
    processes   the others that share its steps: started, found, ended with it
    world       what they say to one another: sums, broadcasts
    loop        epochs, steps, validation, saving: the shape of a training
    steps       one step and one validation: losses a token, gradients, updates
    session     what a training works on: model, trained parts, examples, plan
    features    the examples, from a cache that runs share
    batches     which examples make a batch, in which order (pure)
    schedule    the learning rate of a step (pure)
    seeds       every random draw from the run's one seed (pure, and setting the generators)
    trained_part  a part under training, whatever of it is trained
    parts       the parts that a run trains, by its method
    lora        adapters on the parts of a model, by PEFT
    full        all weights of a part
    optimizers  AdamW, and bitsandbytes' paged one where there is a card
    recompute   gradient checkpointing
    saving      a copy in memory, and the order in which its files appear
    publisher   files in the background, one save at a time
    state_files the optimizer's state and the place in the data, beside the checkpoint
    listening   pace and endings of two lines at a checkpoint
    journal     events, their snapshot, the monitors' alerts, the heartbeat
    control     stop flag, signals, room on the disk
    faults      what an exception means, in a sentence with the settings to change
    memory_limit  a device smaller than it is, to try failures with

Opens no database and knows no page. Exact resume rests on two rules: all that decides a step is in the checkpoint and
its state or follows from (seed, step, batch), and nothing is drawn from a generator that was not set for that batch.
"""
