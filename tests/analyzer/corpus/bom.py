# -*- coding: utf-8 -*-
näme = '€'
def test_ö(): assert näme
