"""The sentences the demonstration corpus is built from: how patients ask, how doctors answer, how a textbook puts it.

Only data. ``{name}`` is the condition or one of its aliases, ``{department}`` the department, and each field of a
condition (``{symptoms}``, ``{causes}``, …) stands for its facts joined by `JOINERS`. Patients' sentences also know
``{who}`` (我, 我妈妈), ``{they}`` (我, 她), ``{age}``, ``{job}``, ``{duration}``, ``{place}``, ``{first}`` and
``{second}`` (two complaints).
"""


def phrases(text: str) -> tuple[str, ...]:
    """Split at white space, of which a Chinese sentence has none."""
    return tuple(text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(zip(text.split()[::2], text.split()[1::2], strict=True))


# Between the facts of a field, and before the last of them.
JOINERS = {
    "symptoms": ("、", "和"),
    "causes": ("、", "以及"),
    "examinations": ("、", "以及"),
    "treatment": ("，", "，"),
    "daily_care": ("，", "，"),
    "warning_signs": ("、", "或"),
}

# Complaints a patient would not put into words begin with one of these.
NOT_A_COMPLAINT = ("早期", "后期", "往往", "少数", "体检", "轻型", "症状", "发作前", "起疹前", "早晚")

DURATIONS = phrases("""
    两三天 四五天 一个星期 十来天 半个月 二十多天 一个多月 两个月 三个月 小半年 大半年 一年多 快两年 好几年
""")
SHORT_DURATIONS = phrases("大半天 一天 两天 两三天 三四天 四五天")
PLACES = phrases("""
    县医院 市里的三甲医院 社区卫生服务站 镇卫生院 附近的专科医院 单位定点医院 市中医院 省城的大医院 家门口的诊所
    区人民医院 大学附属医院 妹妹工作的医院
""")
JOBS = phrases("""
    会计 司机 老师 程序员 厨师 销售 护工 快递员 裁缝 保安 收银员 电焊工 农民 公务员 设计师 理发师 装修工 客服
    仓库管理员 导游 服务员 编辑 个体户 工厂质检员
""")
# (oldest age, words for her, words for him): the first line whose age is not exceeded is used.
RELATIVES = (
    (2, phrases("我家宝宝 我女儿 我家小宝 我外孙女"), phrases("我家宝宝 我儿子 我家小宝 我外孙")),
    (15, phrases("我家孩子 我女儿 我侄女 我外孙女"), phrases("我家孩子 我儿子 我侄子 我外孙")),
    (30, phrases("我妹妹 我表姐 我室友 我堂姐"), phrases("我弟弟 我表哥 我室友 我堂弟")),
    (50, phrases("我爱人 我姐姐 我嫂子 我同事 我姑姑"), phrases("我老公 我哥哥 我姐夫 我同事 我叔叔")),
    (65, phrases("我妈妈 我阿姨 我婆婆 我岳母"), phrases("我爸爸 我伯伯 我岳父 我舅舅")),
    (120, phrases("我奶奶 我姥姥 我外婆 邻居大娘"), phrases("我爷爷 我姥爷 我外公 邻居大爷")),
)
SELF_INTROS = phrases("""
    我今年{age} 本人{age} 我是做{job}的，{age} 医生您好，我{age} 我{age}了，身体一向还可以
    大夫您好，我的职业是{job}，{age} {age}，平时做{job} 我，{age}，以前没生过什么大病
""")
RELATIVE_INTROS = phrases("""
    {who}今年{age} 想替{who}咨询一下，{they}{age} {who}{age}了，身体一向还行 医生好，问的是{who}，{age}
    帮{who}问问，{they}{age} {who}，{age}，之前没什么毛病 我在外地，{who}在老家，{age}
""")
COMPLAINTS = phrases("""
    {duration}前开始有{first}，后来又有{second} 断断续续{first}，有{duration}了 先是{first}，这阵子连{second}也来了
    {first}的情况已经持续{duration} 主要是{first}，偶尔还{second}，算起来{duration} 因为{first}，{duration}都没见好
    起初只是{first}，没当回事，过了{duration}又{second}
""")
DIAGNOSES = phrases("""
    去{place}检查，说是{name} {place}的医生诊断为{name} 拿到的报告上写着{name} 上周在{place}确诊了{name}
    {place}的大夫说可能是{name} 网上一查，跟{name}很像 听人说这就是{name} 在{place}拍了片化了验，结论是{name}
""")
# What else is told. A row gets one of these by its number, so two rows of one condition and kind never share it.
STORIES = phrases("""
    家离大医院远，来回要坐三个小时车 当时排队的人太多，没来得及细问 自己在网上查了半天，说法不一，越看心里越慌
    邻居推荐了一个偏方，没敢用 家里最近在装修，一直住在出租屋 之前自己买过一点药，效果不明显
    医生写的字太潦草，回来看不明白 家里人都说不要紧，可我总放心不下 下个月要出远门，怕路上犯病
    亲戚里也有人得过类似的毛病 胃口还行，就是睡得不踏实 体重没什么变化 天气一变就觉得更明显 以前检查各项指标都正常
    上次复诊是好一阵子以前了 对青霉素过敏，不知道有没有关系 刚开始没在意，以为歇歇就好 听同事说拖久了会很麻烦
    手里有一堆化验单，看得头大 药店的人让先吃着看，我没听 挂的号要等到下周三才轮到 看着不影响日常，就是心里没底
    村里的医生说法和城里的不一样 因为这事全家人好几天没睡好 精神头还算好 最近搬了新家，离菜市场和公园都近
    夜里比白天厉害些 经济条件一般，想先弄清楚再花钱 医保卡里还有些钱，可以去做检查 周末才有空，平日请不了假
    全家出门旅游回来以后发现的 怀疑跟水土不服有关 老家那边得这个的人好像不少 拍了照片，可惜这里传不上来
    前后找了两位大夫，意见不太一致 听广播里讲过，没记全 换季那几天尤其难受 喝水不多，口味比较清淡
""")
# And mostly one that suits the patient's age, by the oldest age.
CHILD_STORIES = phrases("""
    邻居家的孩子最近也不舒服 孩子个头偏小 一直是老人带，说不太清楚细节 晚上总要人抱着才肯睡
    第一次当家长，什么都不懂 疫苗都是按时打的 哭闹的时候怎么哄都不行 奶粉换过一次牌子
""")
ADULT_STORIES = phrases("""
    工作经常加班，三餐不规律 一天到晚对着电脑，很少运动 上夜班有好几年了 出差多，饭局也多 孩子还小，走不开
    最近在备考，每天只睡五个小时 干的是体力活，一歇就没收入 平时爱吃辣，少一顿都不行 刚办了健身卡，还没去几回
    前几天刚换了工作，压力确实不小 平时不抽烟，偶尔喝一点酒 十年前做过一次小手术，恢复得挺好
    过年走亲戚吃得比较杂，之后就这样了
""")
ELDER_STORIES = phrases("""
    年纪大了，记性也差，药经常忘吃 子女都不在身边，只有老伴陪着 平时喜欢打太极，最近也不去了
    本来就有慢性病，常年吃药 不愿意去医院，怕给儿女添麻烦 耳朵背，跟医生说话费劲 退休以后很少出门 腿脚不如从前利索
""")
OWN_STORIES = ((15, CHILD_STORIES), (61, ADULT_STORIES), (120, ELDER_STORIES))
CLOSINGS = phrases("""
    谢谢医生。 麻烦您给讲讲，万分感谢！ 希望得到专业的建议。 心里很着急，盼回复。 请医生指点一下。 先谢过大夫了。
    说得通俗一点就行。 望尽快解答。 不想走弯路，所以来问问。 给个明白话，我好安排。 辛苦了！
    钱多钱少不要紧，就想弄清楚。 家里人都等着消息呢。
""")

# A line: the question of the title, then the one in the long description.
QUESTIONS = {
    "symptoms": _pairs("""
        {name}有哪些症状？ 请问{name}一般会有哪些表现？
        {name}的表现是什么？ 我想知道这个病典型的症状是什么样的？
        怎么看出是{name}？ 除了这些，{name}还会引起哪些不舒服？
        得了{name}身体会有什么感觉？ 通常身体上会有什么感觉才算是这个病？
        {name}早期什么样？ 能不能说说它发作起来都有哪些症状？
        {name}的典型症状有哪些？ 哪些表现说明真的是{name}？
    """),
    "causes": _pairs("""
        {name}是什么原因引起的？ 请问{name}到底是怎么得上的？
        为什么会得{name}？ 想不通好好的怎么会得这个，病因是什么？
        {name}是怎么来的？ 这跟哪些因素有关系？
        引起{name}的因素有哪些？ 到底是什么导致了{name}？
        {name}的病因是什么？ 能不能帮我分析一下是什么引起的？
        得{name}跟什么有关？ 平时哪些事情容易招来这个病？
    """),
    "examinations": _pairs("""
        {name}要做哪些检查？ 请问确诊{name}要做哪些检查？
        怀疑{name}应该查什么？ 去医院的话应该查哪些项目？
        查{name}做什么项目？ 不知道该做什么化验或者拍片？
        {name}怎么检查出来？ 医院通常靠哪些检查来判断{name}？
        确诊{name}需要哪些检查？ 想提前准备，一般会安排哪些检查？
        {name}去医院查哪些？ 有没有必要都做，常规查的是哪几样？
    """),
    "treatment": _pairs("""
        {name}怎么治疗？ 请问{name}现在一般怎么治？
        得了{name}该怎么办？ 下一步应该怎么治疗才对？
        {name}有什么治疗方法？ 有哪些靠谱的治疗办法？
        治疗{name}的原则是什么？ 医生一般会按什么思路来治{name}？
        {name}要怎么处理？ 该吃药还是做别的治疗？
        {name}如何治比较好？ 怎样治疗效果会好一些？
    """),
    "daily_care": _pairs("""
        {name}平时要注意什么？ 请问得了{name}平时生活上要注意什么？
        {name}患者日常怎么护理？ 在家里该怎么护理和调养？
        有{name}生活上怎么调理？ 饮食起居方面有什么讲究？
        {name}在家怎么养？ 日常有哪些事该做、哪些该避免？
        {name}的家庭护理方法？ 想请教{name}的日常保养办法？
        得了{name}饮食起居注意啥？ 除了看病，自己平时能做点什么？
    """),
    "warning_signs": _pairs("""
        {name}什么情况要马上去医院？ 请问{name}出现哪些情况必须马上去医院？
        {name}有哪些危险信号？ 哪些变化说明病情变重、不能再等？
        {name}什么时候算严重？ 到什么程度就要去急诊？
        {name}要警惕哪些情况？ 怕出危险，想知道要警惕什么？
        {name}加重有什么征兆？ 病情恶化前会有什么征兆？
        哪些情况说明{name}严重了？ 在家观察的话，看到什么要赶紧送医院？
    """),
    "symptoms+examinations": _pairs("""
        {name}有什么症状，要查什么？ 请问{name}都有什么表现，应该做什么检查确定？
        怎么判断是不是{name}？ 从症状和检查上怎么判断是不是这个病？
        {name}的表现和检查？ 它的症状是哪些，又该查些什么？
    """),
    "symptoms+causes": _pairs("""
        {name}的症状和原因？ 请问{name}有哪些症状，又是怎么引起的？
        {name}是什么样的病？ 这到底是个什么病，为什么会得，有什么表现？
        {name}什么表现，怎么得的？ 想了解一下它的表现和来由？
    """),
    "causes+treatment": _pairs("""
        {name}的原因和治疗？ 请问{name}是什么引起的，怎么治疗？
        为什么得{name}，怎么治？ 想弄明白病根在哪，又该怎么治？
        {name}怎么引起的，如何治疗？ 病因和治疗办法能一起说说吗？
    """),
    "treatment+daily_care": _pairs("""
        {name}怎么治，平时注意什么？ 请问{name}怎么治疗，平时又该注意些什么？
        {name}的治疗和护理？ 治疗上怎么安排，在家怎么配合护理？
        得了{name}如何治疗和保养？ 怎么治、怎么养，想一次问清楚？
    """),
    "daily_care+warning_signs": _pairs("""
        {name}在家注意什么，何时就医？ 请问{name}在家要注意什么，什么时候必须去医院？
        {name}怎么养，什么算危险？ 日常怎么照顾，出现什么情况算危险？
        {name}的护理和危险信号？ 平时怎样保养，又要提防哪些变化？
    """),
}

# What a question is about → the fields of a condition that its answer uses.
KINDS = {kind: tuple(kind.split("+")) for kind in QUESTIONS}

GREETINGS = ("", "", "您好，", "你好，")
FAREWELLS = ("", "", "", "祝早日康复。", "希望对您有帮助。", "祝您健康。")
ANSWERS = {
    "symptoms": phrases("""
        {name}的常见表现有{symptoms}，轻重因人而异。怀疑是这个病时，可以先到{department}做{check}来明确。
        从临床上看，{name}多表现为{symptoms}。这些症状不一定同时出现，建议挂{department}，由医生结合{check}判断。
        得了{name}，一般会有{symptoms}。单凭感觉不能确诊，还要做{check}，早点到{department}看看比较稳妥。
    """),
    "causes": phrases("""
        {name}的发生多与{causes}有关，往往是几种因素共同作用。找准原因再处理，才能减少反复。
        引起{name}的原因主要包括{causes}。您可以对照自己的情况，再到{department}请医生帮助分析。
        一般认为，{causes}都可能导致{name}。平时注意{habit}，对控制病情有好处。
    """),
    "examinations": phrases("""
        怀疑{name}时，通常需要做{examinations}，由{department}医生综合判断。检查前请把发病经过和用药情况讲清楚。
        {name}常用的检查有{examinations}。不必一次全做，医生会按病情选择，报告出来后带回{department}复诊。
        要明确是不是{name}，可以先挂{department}，做{examinations}等检查，医生还会询问病史并查体。
    """),
    "treatment": phrases("""
        {name}的治疗原则是：{treatment}。具体方案由{department}医生当面评估后确定，不要自行用药。
        目前{name}一般这样处理：{treatment}。用药和疗程因人而异，请到正规医院{department}就诊。
        治疗{name}，医生通常从几方面入手：{treatment}。坚持配合{department}复查很重要，别轻信偏方。
    """),
    "daily_care": phrases("""
        {name}患者日常要做到：{daily_care}。这些习惯贵在坚持，能帮助病情稳定。
        平时护理{name}，建议{daily_care}。同时遵医嘱治疗，定期到{department}随访。
        对于{name}，生活上应该{daily_care}。家人也可以帮忙监督，有不舒服随时到{department}看看。
    """),
    "warning_signs": phrases("""
        {name}如果出现{warning_signs}，说明病情可能加重，要马上去医院急诊，不要在家拖延。
        {name}需要警惕的情况包括{warning_signs}。一旦有其中一项，应立即到{department}或急诊处理。
        当{name}伴有{warning_signs}时，属于危险信号，请尽快到{department}就诊，必要时拨打120。
    """),
    "symptoms+examinations": phrases("""
        {name}多表现为{symptoms}。要明确诊断，可以到{department}做{examinations}，由医生判断。
        {name}的症状主要是{symptoms}，常用的检查有{examinations}，建议先挂{department}。
    """),
    "symptoms+causes": phrases("""
        {name}的症状主要是{symptoms}，发生多与{causes}有关，建议到{department}进一步明确。
        {name}多表现为{symptoms}。引起它的原因包括{causes}，可以请{department}医生帮助分析。
    """),
    "causes+treatment": phrases("""
        {name}的发生多与{causes}有关。治疗原则是：{treatment}。方案请由{department}医生确定。
        引起{name}的原因包括{causes}。一般这样处理：{treatment}，请到{department}就诊。
    """),
    "treatment+daily_care": phrases("""
        {name}的治疗原则是：{treatment}。平时还要{daily_care}，并定期到{department}复查。
        {name}一般这样处理：{treatment}。生活上应该{daily_care}，有变化及时看{department}。
    """),
    "daily_care+warning_signs": phrases("""
        {name}患者日常要做到：{daily_care}。如果出现{warning_signs}，要马上去医院。
        平时护理{name}，建议{daily_care}。需要警惕{warning_signs}，一旦发生立即到{department}就诊。
    """),
}

# Prose of a textbook: other sentences than the answers', the same facts. A group gives one paragraph a condition.
TEXTBOOK = (
    phrases("""
        {name}是{department}的常见病之一，又称{alias}。患者来诊时的主诉可以是{symptoms}。病程长短不同，表现也有差别。
        {name}（{alias}）归{department}诊治。临床特点可以概括为：{symptoms}。
    """),
    phrases("""
        关于{name}的病因，目前认识到的有{causes}。同一名患者身上常能找到不止一项。
        {causes}，被看作{name}的危险因素。了解这些因素是预防{name}的第一步。
    """),
    phrases("""
        诊断{name}离不开辅助检查。{department}常安排{examinations}，再结合病史和体征得出结论。
        在{department}，{examinations}是诊断{name}的依据，其中{check}较为常用。
    """),
    phrases("""
        {name}的处理分几步走：{treatment}。治疗期间应随访，观察疗效和不良反应。
        就{name}而言，治疗要点是：{treatment}。轻重不同，方案有别。
    """),
    phrases("""
        除了治疗，{name}病人的自我管理同样关键：{daily_care}。
        护理{name}病人时，应指导其{daily_care}。良好的习惯可使{name}病情平稳。
    """),
    phrases("""
        {warning_signs}，提示{name}出现了严重变化，须急诊处理。
        随访{name}病人时要特别留意{warning_signs}，遇到这类情形不可等待。
    """),
    phrases("""
        有人出现{first}和{second}，到{department}就诊，经{examinations}证实为{name}。追问病史，与{causes}有一定联系。
        一位患者因{first}、{second}来到{department}，医生考虑{name}，安排了{examinations}。
    """),
    phrases("""
        {name}小结：症状为{symptoms}；病因有{causes}；处理上{treatment}。
        总的来说，{alias}即{name}，由{causes}等引起，出现{symptoms}，治疗上{treatment}。
    """),
    phrases("""
        健康教育：得了{name}的人应{daily_care}；若见{warning_signs}，立即就医。
        给{name}病人的提醒：居家时{daily_care}；危险的征象是{warning_signs}。
    """),
)

# One word of a question changed, for near-duplicates: what is replaced, and by what.
WORD_SWAPS = _pairs("""
    医生 大夫 请问 想问 平时 平常 什么 啥 怎么 怎样 哪些 哪几种 ？ ? ， , 。 ！
""")
# Personal data that cleaning has to mask. All of it is made up, and obviously so.
CONTACTS = phrases("""
    可以打我电话13012345678。 我手机号是19987654321，方便联系。 座机010-22222222，白天都在。 加我QQ：123456789细聊。
    微信号wxid_example01，求指点。 联系邮箱patient@example.com。 病历照片在http://www.example.com/bingli/01上。
    身份证号110101190001010006，可以查到病历。
""")
HTML_REMNANTS = ("{text}<br/>", "&nbsp;&nbsp;{text}", "<p>{text}</p>", "<font color=red>{text}")
PLACEHOLDERS = ("", "无", "...", "暂无回答", "。。。", "null")
CONTROL_CHARACTERS = ("\x08", "\x0b", "\x7f", "\u200b", "\ufeff")
