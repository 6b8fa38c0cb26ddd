"""The tables of the pipeline of DataJoint 0.14 in :mod:`adopted_pipelines`, as that version made and filled them."""

from __future__ import annotations

#: What 0.14's `blob.pack` made of {"flow": array([0.5, -1.5, 2.25])} and of arange(5.0).
PROTOCOL = (
    "646a30000401000000000000000d00000000000000050400000000000000666c6f77310000000000000041010000000000000003000000000000"
    "000600000000000000000000000000e03f000000000000f8bf0000000000000240"
)
FLOW = (
    "6d596d00410100000000000000050000000000000006000000000000000000000000000000000000000000f03f00000000000000400000000000"
    "0008400000000000001040"
)

#: The tables as 0.14 made them: types in no comment but for those of its own (`attach`).
LEGACY_TABLES = [
    # Servers of that time had latin1 by default.
    "CREATE DATABASE `odour_colony` CHARACTER SET latin1",
    "CREATE DATABASE `odour_sniffing` CHARACTER SET latin1",
    "CREATE TABLE `odour_colony`.`#rig` (`rig` varchar(16) NOT NULL, PRIMARY KEY (`rig`)) ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_colony`.`subject` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`sex` enum('F', 'M', 'U') NOT NULL DEFAULT 'U', `born` date NOT NULL, `weight` float DEFAULT NULL COMMENT 'in g', "
    "`notes` varchar(200) NOT NULL DEFAULT '', `entered` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, "
    "PRIMARY KEY (`subject_id`)) ENGINE=InnoDB, COMMENT 'Animals'",
    "CREATE TABLE `odour_colony`.`survey` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`moment` datetime NOT NULL, `tag` binary(16) NOT NULL COMMENT ':uuid:', `tiny` tinyint unsigned NOT NULL, "
    "`small` smallint unsigned NOT NULL, `medium` mediumint NOT NULL DEFAULT '3', `big` bigint DEFAULT NULL, "
    "`huge` bigint unsigned NOT NULL, `flag` boolean NOT NULL DEFAULT '1', `ratio` double NOT NULL DEFAULT '0.5', "
    "`share` numeric(5,3) NOT NULL, `code` char(4) NOT NULL, `year` year NOT NULL, `clock` time NOT NULL, "
    "`tags` json DEFAULT NULL, `story` mediumtext NOT NULL, `label` tinyblob NOT NULL, "
    "PRIMARY KEY (`subject_id`,`moment`,`tag`), FOREIGN KEY (`subject_id`) REFERENCES "
    "`odour_colony`.`subject` (`subject_id`) ON UPDATE CASCADE ON DELETE RESTRICT, index (`code`)"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`session` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `rig` varchar(16) NOT NULL, `protocol` longblob NOT NULL COMMENT 'parameters', "
    "`manual` LONGBLOB DEFAULT NULL COMMENT ':attach:', `practice` tinyint(1) NOT NULL DEFAULT 0, "
    "`cost` decimal(8,2) NOT NULL DEFAULT 0, PRIMARY KEY (`subject_id`,`session`), "
    "FOREIGN KEY (`subject_id`) REFERENCES `odour_colony`.`subject` (`subject_id`) "
    "ON UPDATE CASCADE ON DELETE RESTRICT, "
    "FOREIGN KEY (`rig`) REFERENCES `odour_colony`.`#rig` (`rig`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`_trace` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `flow` longblob NOT NULL COMMENT 'one a sample', `rate` double NOT NULL, "
    "PRIMARY KEY (`subject_id`,`session`), FOREIGN KEY (`subject_id`,`session`) REFERENCES "
    "`odour_sniffing`.`session` (`subject_id`,`session`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    "CREATE TABLE `odour_sniffing`.`_trace__sniff` (`subject_id` int unsigned NOT NULL COMMENT 'number', "
    "`session` smallint NOT NULL, `sniff` int NOT NULL, `onset` float NOT NULL COMMENT 's', "
    "PRIMARY KEY (`subject_id`,`session`,`sniff`), FOREIGN KEY (`subject_id`,`session`) REFERENCES "
    "`odour_sniffing`.`_trace` (`subject_id`,`session`) ON UPDATE CASCADE ON DELETE RESTRICT"
    ") ENGINE=InnoDB, COMMENT ''",
    # 0.14 keeps a log and jobs in every schema.
    "CREATE TABLE `odour_sniffing`.`~log` (`id` int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY)",
    "CREATE TABLE `odour_sniffing`.`~jobs` (`table_name` varchar(255) NOT NULL, `key_hash` char(32) NOT NULL, "
    "`status` enum('reserved','error','ignore') NOT NULL, PRIMARY KEY (`table_name`,`key_hash`))",
]

LEGACY_ROWS = [
    "INSERT INTO `odour_colony`.`#rig` VALUES ('left'), ('right')",
    "INSERT INTO `odour_colony`.`subject` (subject_id, sex, born, weight) VALUES "
    "(7, 'F', '2019-03-01', 21.5), (4000000000, 'M', '2019-03-02', NULL)",
    "UPDATE `odour_colony`.`subject` SET notes = 'Müller' WHERE subject_id = 7",
    "INSERT INTO `odour_colony`.`survey` VALUES (7, '2019-04-01 12:30:00', X'00112233445566778899AABBCCDDEEFF', 255, 65535, "
    "-8388608, -9223372036854775808, 9223372036854775807, 1, 0.1, 12.345, 'abcd', 2019, '08:15:00', "
    f"'{{\"a\": [1, 2]}}', 'Once.', X'{FLOW}')",
    "INSERT INTO `odour_sniffing`.`session` VALUES "
    f"(7, 1, 'left', X'{PROTOCOL}', CONCAT('guide.txt', X'00', 'Sniff.'), 1, 12.50), "
    f"(4000000000, 2, 'right', X'{PROTOCOL}', NULL, 0, 0)",
    f"INSERT INTO `odour_sniffing`.`_trace` VALUES (7, 1, X'{FLOW}', 500)",
    "INSERT INTO `odour_sniffing`.`_trace__sniff` VALUES (7, 1, 1, 0.25), (7, 1, 2, 0.5)",
]
