"""What RESTORE.txt in an archive says, for whoever finds the folder."""

RESTORE = """\
This folder is the backup of a MedScale study. To bring the study back:

  1. Clone the same version of MedScale, install it (python3 envs/install.py; source .venv/bin/activate).
  2. In the clone, or in the folder of the study with -s and --directory as usual:

       snakemake restore --cores 1 --configfile THIS_FOLDER/configuration.yaml --config backup='{path: THIS_FOLDER}'

     Everything is checked first. If a file here is damaged, or one of other content is in the way, its name is told
     and nothing is restored. A call that was interrupted is continued by the same command.
  3. snakemake -n --configfile THIS_FOLDER/configuration.yaml
     tells what is left to be done: nothing, if the study was finished and the code is the same.

Not in here: the base model and the corpus (results/data/model.json and corpus.json say which they were; a finished
study does not need them), passwords, and folders of the machine. If model.source was local or data.source was file,
name the folder or file in the configuration again (model.path, data.path).

Without MedScale: index.json names each file of the study and its sha256; the file of that content is
objects/FIRST_TWO_DIGITS/SHA256. earlier/ has the indexes of before; copied over index.json, one is restored instead.


本文件夹是一个 MedScale 研究的备份。恢复方法：

  1. 克隆同一版本的 MedScale 并安装（python3 envs/install.py；source .venv/bin/activate）。
  2. 在克隆的文件夹中运行（研究在别的文件夹时，照常加 -s 和 --directory）：

       snakemake restore --cores 1 --configfile 本文件夹/configuration.yaml --config backup='{path: 本文件夹}'

     先检查全部内容：若有文件损坏，或目标位置已有内容不同的文件，会指出文件名，并且什么都不恢复。中断后用同一命令继续。
  3. snakemake -n --configfile 本文件夹/configuration.yaml
     显示还要做什么：如果研究已完成且代码相同，则没有要做的事。

不包含：基础模型和语料（results/data/model.json 与 corpus.json 记录了它们是什么；已完成的研究不再需要它们）、密码、
本机路径。如果 model.source 是 local，或 data.source 是 file，请在配置中重新写明 model.path 或 data.path。

不用 MedScale 时：index.json 列出研究的每个文件及其 sha256；内容在 objects/前两位/SHA256。earlier/ 中是以前的索引，
把其中一个复制为 index.json，恢复的就是那个状态。
"""
