"""Run the stages. They lie in a module of another name, since processes of their own cannot import this one."""

from tests.benchmarks.transfer.stages import main

if __name__ == "__main__":
    main()
