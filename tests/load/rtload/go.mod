module headwater/tests/load/rtload

go 1.21
