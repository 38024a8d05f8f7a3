"""The words from which `fiction` composes names, phrases and sentences that are in no table. Only data."""

from medscale.data.demo.phrasings import phrases

OPENINGS = phrases(
    "急性 慢性 先天性 原发性 继发性 复发性 特发性 单纯性 老年性 游走性 夜间 季节性 遗传性 药物性 过敏性 弥漫性"
)
SITES = phrases("""
    颈 腰 背 胸 腹 额 颞 眶 耳 鼻 咽 喉 舌 唇 牙 颌 肩 肘 腕 指 掌 髋 膝 踝 足 跟
    趾 皮 肌 腱 骨 髓 脊 脑 膜 神经 心 肺 肝 胆 脾 肾 胰
    胃 肠 膀胱 尿道 血管 淋巴 腺 甲 毛囊 关节 软骨 气管 瓣 角膜 晶体
    """)
PROCESSES = phrases(
    "纤维 结节 钙化 萎缩 增生 水肿 粘连 硬化 脱屑 浸润 狭窄 扩张 囊变 痉挛 松弛 色素 颗粒 渗出 移位 肥厚 角化 退变"
)
ENDINGS = phrases("炎 病 症 综合征 瘤样病 功能紊乱 反应症 麻痹 疹 痛 沉着症 缺乏症 失调 障碍 瘘 斑")

# By field of a condition, the parts of which one each makes a phrase.
COMPOSED = {
    "symptoms": (
        SITES,
        phrases("发麻 刺痛 发紧 发凉 酸胀 抽动 灼热 发硬 红肿 压痛明显 跳痛 发沉 起小疙瘩 活动不便"),
    ),
    "causes": (
        phrases("长期 经常 反复 过度 短时间内 换季时"),
        phrases("接触粉尘 搬重物 吹冷风 饮食过咸 饮水太少 熬夜上网 穿鞋太紧 用力不当 情绪起伏 滥用药膏 缺少活动"),
    ),
    "examinations": (
        SITES,
        phrases("彩超 磁共振 造影 活检 功能测定 穿刺检查 压力测定 细胞学检查 红外成像 抗体筛查"),
    ),
    "treatment": (
        phrases("先 逐步 必要时 遵医嘱 在医生指导下 病情平稳后 急性期"),
        phrases("口服药物控制 做理疗 局部用药 手术处理 调整用药 冲洗患处 输液支持 固定患处 做康复训练"),
    ),
    "daily_care": (
        phrases("每天 坚持 尽量 饭后 睡前 外出时 换季时"),
        phrases("散步半小时 做舒缓拉伸 记录变化 喝够温水 用温水清洗 穿宽松衣物 早睡早起 少吃油炸食品 保持通风"),
    ),
    "warning_signs": (
        phrases("突然 持续 反复 夜间 活动后 一天内"),
        phrases("高烧不退 剧痛难忍 意识模糊 大量出血 呼吸费力 抽筋不止 面色发青 全身发冷 说不出话 站立不稳"),
    ),
}

# One of each makes a sentence about daily life.
EVERYDAY = (
    phrases("今天早上 昨天下午 上个周末 过年的时候 每到秋天 下雨天 前两天 放学以后 晚饭后 天还没亮"),
    phrases("我 我妈妈 隔壁的老王 两个孩子 我们一家人 小区的保安 我的同事 村里的老人 班主任 姐姐和姐夫"),
    phrases("在公园里 在厨房 在车站 在图书馆 在菜市场 在院子里 在单位 在河边 在教室 在邻居家"),
    phrases("散步 包饺子 等人 看书 买水果 晒被子 开会 钓鱼 画画 聊天 修自行车 听收音机 打扫卫生 练字"),
    phrases("，心情很好。 ，一直忙到中午。 ，碰见了老朋友。 ，忽然下起雨来。 ，花了不到二十块钱。 ，笑个不停。 。"),
)
