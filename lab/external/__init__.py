"""What others published about the contest: carried with its source, recomputed, shown as context, never ranked.

`claim` recomputes a stated total from its components; `facts` turns a folder of facts into records; `findings` says
where they contradict each other; `axes` analyses what separates the CPU and CUDA scores; `shelf` imports, stores and
loads. Nothing is corrected in silence: a record keeps what was stated, a finding says what is wrong with it.
"""
