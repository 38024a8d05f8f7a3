"""The subjects of CMMLU and of C-Eval, and which of them are medicine; the others measure what training cost elsewhere.

Only data. Medical means that doctors and nurses are asked it: neither veterinary medicine nor biology nor genetics. So
CMMLU has 8 medical subjects of 67, and C-Eval 3 of 52.
"""

_OF_CMMLU = """
    anatomy clinical_knowledge college_medical_statistics college_medicine nutrition professional_medicine
    traditional_chinese_medicine virology
"""
MEDICAL = {
    "cmmlu": frozenset(_OF_CMMLU.split()),
    "ceval": frozenset(["basic_medicine", "clinical_medicine", "physician"]),
}
_GENERAL = {
    "cmmlu": """
        agronomy ancient_chinese arts astronomy business_ethics chinese_civil_service_exam chinese_driving_rule
        chinese_food_culture chinese_foreign_policy chinese_history chinese_literature chinese_teacher_qualification
        college_actuarial_science college_education college_engineering_hydrology college_law college_mathematics
        computer_science computer_security conceptual_physics construction_project_management economics education
        electrical_engineering elementary_chinese elementary_commonsense elementary_information_and_technology
        elementary_mathematics ethnology food_science genetics global_facts high_school_biology high_school_chemistry
        high_school_geography high_school_mathematics high_school_physics high_school_politics human_sexuality
        international_law journalism jurisprudence legal_and_moral_basis logical machine_learning management marketing
        marxist_theory modern_chinese philosophy professional_accounting professional_law professional_psychology
        public_relations security_study sociology sports_science world_history world_religions
        """,
    "ceval": """
        accountant advanced_mathematics art_studies business_administration chinese_language_and_literature
        civil_servant college_chemistry college_economics college_physics college_programming computer_architecture
        computer_network discrete_mathematics education_science electrical_engineer
        environmental_impact_assessment_engineer fire_engineer high_school_biology high_school_chemistry
        high_school_chinese high_school_geography high_school_history high_school_mathematics high_school_physics
        high_school_politics ideological_and_moral_cultivation law legal_professional logic mao_zedong_thought marxism
        metrology_engineer middle_school_biology middle_school_chemistry middle_school_geography middle_school_history
        middle_school_mathematics middle_school_physics middle_school_politics modern_chinese_history operating_system
        plant_protection probability_and_statistics professional_tour_guide sports_science tax_accountant
        teacher_qualification urban_and_rural_planner veterinary_medicine
        """,
}
SUBJECTS = {name: MEDICAL[name] | frozenset(subjects.split()) for name, subjects in _GENERAL.items()}


def measured(format: str, subject: str | None) -> str:
    """Return what a question of this format and subject measures: ``medicine`` or ``general``."""
    return "general" if format in MEDICAL and subject not in MEDICAL[format] else "medicine"
