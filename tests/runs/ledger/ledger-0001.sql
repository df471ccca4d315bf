BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE answer_block (
	run_id VARCHAR(32) NOT NULL, 
	candidate_id VARCHAR(255) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	split VARCHAR(16) NOT NULL, 
	block INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (run_id, candidate_id, task, split, block)
);
INSERT INTO "answer_block" VALUES('run1','0-4','near','validation',0,X'789C8B564ACC2B2E4F2D523050D25180B10D91D846486C6324B60912DB14896D86C436578A050059681C09');
INSERT INTO "answer_block" VALUES('run1','0-4','near','validation',1,X'789C8B564ACC2B2E4F2D52B050D25180B12D91D88606C81C43648E1132C718996382CC31558A0500F7351D33');
INSERT INTO "answer_block" VALUES('run1','0-4','near','validation',2,X'789C8B564ACC2B2E4F2D52303453D2518073CC913916C81C4BA5580096F40F0F');
INSERT INTO "answer_block" VALUES('run1','0-4','far','validation',0,X'789C8B564ACC2B2E4F2D523050D25180B10D91D846486C6324B60912DB14896D86C436578A050059681C09');
INSERT INTO "answer_block" VALUES('run1','0-4','far','validation',1,X'789C8B564ACC2B2E4F2D52B050D25180B12D91D88606C81C43648E1132C718996382CC31558A0500F7351D33');
INSERT INTO "answer_block" VALUES('run1','0-4','far','validation',2,X'789C8B564ACC2B2E4F2D52303453D2518073CC913916C81C4BA5580096F40F0F');
INSERT INTO "answer_block" VALUES('run1','1-2','near','validation',0,X'789C8B564ACC2B2E4F2D523050D25180B10D91D846486C6324B60912DB14896D86C436578A050059681C09');
INSERT INTO "answer_block" VALUES('run1','1-2','near','validation',1,X'789C8B564ACC2B2E4F2D52B050D25180B12D91D88606C81C43648E1132C718996382CC31558A0500F7351D33');
INSERT INTO "answer_block" VALUES('run1','1-2','near','validation',2,X'789C8B564ACC2B2E4F2D52303453D2518073CC913916C81C4BA5580096F40F0F');
INSERT INTO "answer_block" VALUES('run1','1-2','far','validation',0,X'789C8B564ACC2B2E4F2D523050D25180B10D91D846486C6324B60912DB14896D86C436578A050059681C09');
INSERT INTO "answer_block" VALUES('run1','1-2','far','validation',1,X'789C8B564ACC2B2E4F2D52B050D25180B12D91D88606C81C43648E1132C718996382CC31558A0500F7351D33');
INSERT INTO "answer_block" VALUES('run1','1-2','far','validation',2,X'789C8B564ACC2B2E4F2D52303453D2518073CC913916C81C4BA5580096F40F0F');
CREATE TABLE attempt (
	attempt_id INTEGER NOT NULL, 
	run_id VARCHAR(32) NOT NULL, 
	candidate_id VARCHAR(255) NOT NULL, 
	split VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	status VARCHAR(8) NOT NULL, 
	failure_kind VARCHAR(16), 
	failure_message TEXT, 
	failure_detail TEXT, 
	merge_s FLOAT NOT NULL, 
	score_s FLOAT NOT NULL, 
	worker VARCHAR(255) NOT NULL, 
	numeric_class VARCHAR(255) NOT NULL, 
	reused BOOLEAN NOT NULL, 
	notes JSON NOT NULL, 
	finished_s FLOAT NOT NULL, 
	PRIMARY KEY (attempt_id), 
	CONSTRAINT one_row_an_attempt UNIQUE (run_id, candidate_id, split, number)
);
INSERT INTO "attempt" VALUES(1,'run1','0-0','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188328677153592e+09);
INSERT INTO "attempt" VALUES(2,'run1','0-1','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188335060477257e+09);
INSERT INTO "attempt" VALUES(3,'run1','0-2','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188337753963468e+09);
INSERT INTO "attempt" VALUES(4,'run1','0-3','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188340878534318e+09);
INSERT INTO "attempt" VALUES(5,'run1','0-4','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188345983862878e+09);
INSERT INTO "attempt" VALUES(6,'run1','0-5','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188348816847801e+09);
INSERT INTO "attempt" VALUES(7,'run1','1-0','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188357860612865e+09);
INSERT INTO "attempt" VALUES(8,'run1','1-1','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188361118984228e+09);
INSERT INTO "attempt" VALUES(9,'run1','1-2','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1795261883.64447);
INSERT INTO "attempt" VALUES(10,'run1','1-3','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188366989731788e+09);
INSERT INTO "attempt" VALUES(11,'run1','1-4','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188372729444508e+09);
INSERT INTO "attempt" VALUES(12,'run1','1-5','search',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188376780509951e+09);
INSERT INTO "attempt" VALUES(13,'run1','0-4','validation',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.7952618838254721165e+09);
INSERT INTO "attempt" VALUES(14,'run1','1-2','validation',1,'done',NULL,NULL,NULL,0.5,1.5,'fake','fake',0,'{}',1.79526188386702036862e+09);
CREATE TABLE candidate (
	run_id VARCHAR(32) NOT NULL, 
	candidate_id VARCHAR(255) NOT NULL, 
	ask INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	origin VARCHAR(255) NOT NULL, 
	parents JSON NOT NULL, 
	genome JSON, 
	recipe_hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (run_id, candidate_id)
);
INSERT INTO "candidate" VALUES('run1','0-0',0,0,'search','random','[]','{"stage1.weights.a": -0.828702, "stage1.weights.b": -0.526379, "stage1.weights.c": 0.602549}','f9c5e1e24009c5281e8c4f86387080cba0e0bc6ac99516adc39341c0d102a436');
INSERT INTO "candidate" VALUES('run1','0-1',0,1,'search','random','[]','{"stage1.weights.a": 0.164324, "stage1.weights.b": -0.811743, "stage1.weights.c": -0.133746}','3aaa76d7ac76a39c87bd22da02a67f3bd1f7f7842c95a7d53e06884e979e7fe3');
INSERT INTO "candidate" VALUES('run1','0-2',0,2,'search','random','[]','{"stage1.weights.a": -0.041897, "stage1.weights.b": -0.680522, "stage1.weights.c": 0.469154}','4b8cb6b5739b3e01648507babf8f6f388bf9a281fea063b4f96249b00e9757eb');
INSERT INTO "candidate" VALUES('run1','0-3',0,3,'search','random','[]','{"stage1.weights.a": -0.772656, "stage1.weights.b": -0.217544, "stage1.weights.c": 0.03348}','ccb0e76fa5edb582e3e4c988e71840816a0d63257732581ee2bcc31063fc6346');
INSERT INTO "candidate" VALUES('run1','0-4',0,4,'search','random','[]','{"stage1.weights.a": -0.138744, "stage1.weights.b": 0.173597, "stage1.weights.c": 0.475676}','573d569cc9f13b833c6c7690fbaff0995a0d96be2dd351f7d0adec27b49187b0');
INSERT INTO "candidate" VALUES('run1','0-5',0,5,'search','random','[]','{"stage1.weights.a": 0.912535, "stage1.weights.b": -0.431598, "stage1.weights.c": 0.297094}','23617e61342d75e10b7ed53cd13edff1479c9d3dc7d5390f4b45bf1d4df1a5d9');
INSERT INTO "candidate" VALUES('run1','1-0',1,0,'search','random','[]','{"stage1.weights.a": -0.493494, "stage1.weights.b": -0.185606, "stage1.weights.c": -0.317265}','c945584c7cf0c5e47c4f04692fef98420407a4318c6adebe109a81b2a193ef95');
INSERT INTO "candidate" VALUES('run1','1-1',1,1,'search','random','[]','{"stage1.weights.a": -0.145109, "stage1.weights.b": 0.077523, "stage1.weights.c": 0.813084}','a0263e264ab54ede60e45c9f7cfe7ac97c9d0d96f2909cd6ce12619c36d117fc');
INSERT INTO "candidate" VALUES('run1','1-2',1,2,'search','random','[]','{"stage1.weights.a": -0.342673, "stage1.weights.b": 0.04306, "stage1.weights.c": 0.49561}','94f4a62d39487cacf5e34a6bd78ca72c979de9bde7fe4200c5ce3395bc289260');
INSERT INTO "candidate" VALUES('run1','1-3',1,3,'search','random','[]','{"stage1.weights.a": 0.258736, "stage1.weights.b": 0.172313, "stage1.weights.c": -0.425444}','e79b20c2642911d559099f1a9acfd4c85ef57ec635e21a639ce471ee9f8078e3');
INSERT INTO "candidate" VALUES('run1','1-4',1,4,'search','random','[]','{"stage1.weights.a": -0.320233, "stage1.weights.b": 0.878651, "stage1.weights.c": -0.984096}','59a54f766fd311255be9c6312cce1d3e1c560deb72beeca0b4e17acdfe49d4b9');
INSERT INTO "candidate" VALUES('run1','1-5',1,5,'search','random','[]','{"stage1.weights.a": -0.451456, "stage1.weights.b": 0.50283, "stage1.weights.c": 0.137256}','cada087c473c6f5f71857ab7d6f9c359dd7dc917724e00974f764418e5378835');
CREATE TABLE decision (
	run_id VARCHAR(32) NOT NULL, 
	sequence INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	body JSON NOT NULL, 
	made_s FLOAT NOT NULL, 
	PRIMARY KEY (run_id, sequence)
);
INSERT INTO "decision" VALUES('run1',1,'ask','{"ask": 0, "candidates": ["0-0", "0-1", "0-2", "0-3", "0-4", "0-5"]}',1.7952618832372629642e+09);
INSERT INTO "decision" VALUES('run1',2,'tell','{"ask": 0, "results": [["0-0", [0.19999999999999998], ""], ["0-1", [0.4], ""], ["0-2", [0.325], ""], ["0-3", [0.25], ""], ["0-4", [0.7250000000000001], ""], ["0-5", [0.4], ""]]}',1.79526188351332521443e+09);
INSERT INTO "decision" VALUES('run1',3,'ask','{"ask": 1, "candidates": ["1-0", "1-1", "1-2", "1-3", "1-4", "1-5"]}',1.79526188354209208491e+09);
INSERT INTO "decision" VALUES('run1',4,'tell','{"ask": 1, "results": [["1-0", [0.32499999999999996], ""], ["1-1", [0.6000000000000001], ""], ["1-2", [0.675], ""], ["1-3", [0.375], ""], ["1-4", [0.0], ""], ["1-5", [0.5], ""]]}',1.79526188378293776511e+09);
INSERT INTO "decision" VALUES('run1',5,'final','{"best": "0-4", "front": ["0-4"], "finalists": ["0-4", "1-2"], "reason": "budget", "budget": 12}',1.79526188388693714141e+09);
CREATE TABLE estimate (
	run_id VARCHAR(32) NOT NULL, 
	candidate_id VARCHAR(255) NOT NULL, 
	split VARCHAR(16) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	metric VARCHAR(255) NOT NULL, 
	n INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	low FLOAT NOT NULL, 
	high FLOAT NOT NULL, 
	PRIMARY KEY (run_id, candidate_id, split, task, metric)
);
INSERT INTO "estimate" VALUES('run1','0-0','search','near','hit',20,0.05,8.88144880079540233186e-03,2.36131193446742077002e-01);
INSERT INTO "estimate" VALUES('run1','0-0','search','far','hit',20,0.35,1.81191824101082088471e-01,5.67145723314763761102e-01);
INSERT INTO "estimate" VALUES('run1','0-1','search','near','hit',20,0.8,5.83982567748106529137e-01,9.1934233742020210478e-01);
INSERT INTO "estimate" VALUES('run1','0-1','search','far','hit',20,0.0,0.0,1.61125158052819378307e-01);
INSERT INTO "estimate" VALUES('run1','0-2','search','near','hit',20,0.6,3.8658150076225311631e-01,0.781193467627183);
INSERT INTO "estimate" VALUES('run1','0-2','search','far','hit',20,0.05,8.88144880079540233186e-03,2.36131193446742077002e-01);
INSERT INTO "estimate" VALUES('run1','0-3','search','near','hit',20,0.05,8.88144880079540233186e-03,2.36131193446742077002e-01);
INSERT INTO "estimate" VALUES('run1','0-3','search','far','hit',20,0.45,2.58197858255624301815e-01,6.57914657549657833079e-01);
INSERT INTO "estimate" VALUES('run1','0-4','search','near','hit',20,0.55,3.42085342450342333453e-01,7.41802141744375753695e-01);
INSERT INTO "estimate" VALUES('run1','0-4','search','far','hit',20,0.9,6.98966354771512810017e-01,9.72133518786231776154e-01);
INSERT INTO "estimate" VALUES('run1','0-5','search','near','hit',20,0.8,5.83982567748106529137e-01,9.1934233742020210478e-01);
INSERT INTO "estimate" VALUES('run1','0-5','search','far','hit',20,0.0,0.0,1.61125158052819378307e-01);
INSERT INTO "estimate" VALUES('run1','1-0','search','near','hit',20,0.35,1.81191824101082088471e-01,5.67145723314763761102e-01);
INSERT INTO "estimate" VALUES('run1','1-0','search','far','hit',20,0.3,1.45477244867604327271e-01,5.18972818353523490664e-01);
INSERT INTO "estimate" VALUES('run1','1-1','search','near','hit',20,0.4,2.18806532372817108544e-01,6.13418499237746939201e-01);
INSERT INTO "estimate" VALUES('run1','1-1','search','far','hit',20,0.8,5.83982567748106529137e-01,9.1934233742020210478e-01);
INSERT INTO "estimate" VALUES('run1','1-2','search','near','hit',20,0.45,2.58197858255624301815e-01,6.57914657549657833079e-01);
INSERT INTO "estimate" VALUES('run1','1-2','search','far','hit',20,0.9,6.98966354771512810017e-01,9.72133518786231776154e-01);
INSERT INTO "estimate" VALUES('run1','1-3','search','near','hit',20,0.7,4.81027181646476509335e-01,8.54522755132395617216e-01);
INSERT INTO "estimate" VALUES('run1','1-3','search','far','hit',20,0.05,8.88144880079540233186e-03,2.36131193446742077002e-01);
INSERT INTO "estimate" VALUES('run1','1-4','search','near','hit',20,0.0,0.0,1.61125158052819378307e-01);
INSERT INTO "estimate" VALUES('run1','1-4','search','far','hit',20,0.0,0.0,1.61125158052819378307e-01);
INSERT INTO "estimate" VALUES('run1','1-5','search','near','hit',20,0.05,8.88144880079540233186e-03,2.36131193446742077002e-01);
INSERT INTO "estimate" VALUES('run1','1-5','search','far','hit',20,0.95,0.763868806553258,9.91118551199204667057e-01);
INSERT INTO "estimate" VALUES('run1','0-4','validation','near','hit',20,0.7,4.81027181646476509335e-01,8.54522755132395617216e-01);
INSERT INTO "estimate" VALUES('run1','0-4','validation','far','hit',20,0.85,0.639581135259243,9.47631254103783460251e-01);
INSERT INTO "estimate" VALUES('run1','1-2','validation','near','hit',20,0.45,2.58197858255624301815e-01,6.57914657549657833079e-01);
INSERT INTO "estimate" VALUES('run1','1-2','validation','far','hit',20,0.85,0.639581135259243,9.47631254103783460251e-01);
CREATE TABLE event (
	run_id VARCHAR(32) NOT NULL, 
	sequence INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	body JSON NOT NULL, 
	at_s FLOAT NOT NULL, 
	PRIMARY KEY (run_id, sequence)
);
INSERT INTO "event" VALUES('run1',1,'started','{"run_id": "run1", "name": "fake", "resumed": false, "progress": {"evaluated": 0, "failed": 0, "budget": 12}}',1.79526188318438458448e+09);
INSERT INTO "event" VALUES('run1',2,'asked','{"ask": 0, "candidates": ["0-0", "0-1", "0-2", "0-3", "0-4", "0-5"]}',1.79526188324513721471e+09);
INSERT INTO "event" VALUES('run1',3,'candidate_done','{"candidate": "0-0", "objectives": {"mean": 0.19999999999999998}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 1, "failed": 0, "budget": 12}}',1.79526188332274174688e+09);
INSERT INTO "event" VALUES('run1',4,'candidate_done','{"candidate": "0-1", "objectives": {"mean": 0.4}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 2, "failed": 0, "budget": 12}}',1.79526188335165548318e+09);
INSERT INTO "event" VALUES('run1',5,'candidate_done','{"candidate": "0-2", "objectives": {"mean": 0.325}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 3, "failed": 0, "budget": 12}}',1.79526188338663101199e+09);
INSERT INTO "event" VALUES('run1',6,'candidate_done','{"candidate": "0-3", "objectives": {"mean": 0.25}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 4, "failed": 0, "budget": 12}}',1.79526188340987467766e+09);
INSERT INTO "event" VALUES('run1',7,'candidate_done','{"candidate": "0-4", "objectives": {"mean": 0.7250000000000001}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 5, "failed": 0, "budget": 12}}',1.79526188346091985703e+09);
INSERT INTO "event" VALUES('run1',8,'candidate_done','{"candidate": "0-5", "objectives": {"mean": 0.4}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 6, "failed": 0, "budget": 12}}',1.79526188349855017663e+09);
INSERT INTO "event" VALUES('run1',9,'generation_done','{"ask": 0, "best": {"mean": 0.7250000000000001}, "elapsed_s": 0.3359807219985669, "progress": {"evaluated": 6, "failed": 0, "budget": 12}}',1.79526188351366043083e+09);
INSERT INTO "event" VALUES('run1',10,'asked','{"ask": 1, "candidates": ["1-0", "1-1", "1-2", "1-3", "1-4", "1-5"]}',1.7952618835423798561e+09);
INSERT INTO "event" VALUES('run1',11,'candidate_done','{"candidate": "1-0", "objectives": {"mean": 0.32499999999999996}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 7, "failed": 0, "budget": 12}}',1.79526188357963466645e+09);
INSERT INTO "event" VALUES('run1',12,'candidate_done','{"candidate": "1-1", "objectives": {"mean": 0.6000000000000001}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 8, "failed": 0, "budget": 12}}',1.79526188361231923105e+09);
INSERT INTO "event" VALUES('run1',13,'candidate_done','{"candidate": "1-2", "objectives": {"mean": 0.675}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 9, "failed": 0, "budget": 12}}',1.79526188365478038782e+09);
INSERT INTO "event" VALUES('run1',14,'candidate_done','{"candidate": "1-3", "objectives": {"mean": 0.375}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 10, "failed": 0, "budget": 12}}',1.79526188368717646596e+09);
INSERT INTO "event" VALUES('run1',15,'candidate_done','{"candidate": "1-4", "objectives": {"mean": 0.0}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 11, "failed": 0, "budget": 12}}',1.79526188372838234903e+09);
INSERT INTO "event" VALUES('run1',16,'candidate_done','{"candidate": "1-5", "objectives": {"mean": 0.5}, "reused": false, "merge_s": 0.5, "score_s": 1.5, "progress": {"evaluated": 12, "failed": 0, "budget": 12}}',1.79526188376890516278e+09);
INSERT INTO "event" VALUES('run1',17,'generation_done','{"ask": 1, "best": {"mean": 0.7250000000000001}, "elapsed_s": 0.6056129629996576, "progress": {"evaluated": 12, "failed": 0, "budget": 12}}',1.79526188378326511385e+09);
INSERT INTO "event" VALUES('run1',18,'finished','{"best": "0-4", "front": ["0-4"], "objectives": {"mean": 0.7749999999999999}, "reason": "budget", "progress": {"evaluated": 12, "failed": 0, "budget": 12}}',1.7952618838963971138e+09);
CREATE TABLE recipe (
	run_id VARCHAR(32) NOT NULL, 
	recipe_hash VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, recipe_hash)
);
INSERT INTO "recipe" VALUES('run1','f9c5e1e24009c5281e8c4f86387080cba0e0bc6ac99516adc39341c0d102a436','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.828702,-0.526379,0.602549]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','3aaa76d7ac76a39c87bd22da02a67f3bd1f7f7842c95a7d53e06884e979e7fe3','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[0.164324,-0.811743,-0.133746]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','4b8cb6b5739b3e01648507babf8f6f388bf9a281fea063b4f96249b00e9757eb','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.041897,-0.680522,0.469154]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','ccb0e76fa5edb582e3e4c988e71840816a0d63257732581ee2bcc31063fc6346','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.772656,-0.217544,0.03348]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','573d569cc9f13b833c6c7690fbaff0995a0d96be2dd351f7d0adec27b49187b0','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.138744,0.173597,0.475676]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','23617e61342d75e10b7ed53cd13edff1479c9d3dc7d5390f4b45bf1d4df1a5d9','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[0.912535,-0.431598,0.297094]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','c945584c7cf0c5e47c4f04692fef98420407a4318c6adebe109a81b2a193ef95','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.493494,-0.185606,-0.317265]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','a0263e264ab54ede60e45c9f7cfe7ac97c9d0d96f2909cd6ce12619c36d117fc','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.145109,0.077523,0.813084]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','94f4a62d39487cacf5e34a6bd78ca72c979de9bde7fe4200c5ce3395bc289260','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.342673,0.04306,0.49561]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','e79b20c2642911d559099f1a9acfd4c85ef57ec635e21a639ce471ee9f8078e3','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[0.258736,0.172313,-0.425444]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','59a54f766fd311255be9c6312cce1d3e1c560deb72beeca0b4e17acdfe49d4b9','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.320233,0.878651,-0.984096]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
INSERT INTO "recipe" VALUES('run1','cada087c473c6f5f71857ab7d6f9c359dd7dc917724e00974f764418e5378835','{"evomerge_recipe":1,"sources":{"a":{"path":"models/a","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"b":{"path":"models/b","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"c":{"path":"models/c","sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},"base":"a","parameters":[{"name":"stage1","method":"linear","inputs":[{"source":"a","shift":0},{"source":"b","shift":0},{"source":"c","shift":0}],"base":null,"options":{"weights":[-0.451456,0.50283,0.137256]}}],"dataflow":null,"dtype":null,"tokenizer":"a","seed":0}');
CREATE TABLE run (
	run_id VARCHAR(32) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	started_s FLOAT NOT NULL, 
	config JSON NOT NULL, 
	sources JSON NOT NULL, 
	tasks JSON NOT NULL, 
	space JSON NOT NULL, 
	starts JSON NOT NULL, 
	versions JSON NOT NULL, 
	plugins JSON NOT NULL, 
	reuse BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "run" VALUES('run1','fake',0.0,'{"search": {"budget": 12}, "objectives": {"mean": {"from": ["near", "far"], "aggregate": "mean", "direction": "maximize"}}}','{}','{"near": {"primary": "hit", "metrics": [{"name": "hit", "direction": "maximize"}]}, "far": {"primary": "hit", "metrics": [{"name": "hit", "direction": "maximize"}]}}','{"genes": [{"name": "stage1.weights.a", "kind": "float", "low": -1.0, "high": 1.0, "scale": "linear", "step": 0.0}, {"name": "stage1.weights.b", "kind": "float", "low": -1.0, "high": 1.0, "scale": "linear", "step": 0.0}, {"name": "stage1.weights.c", "kind": "float", "low": -1.0, "high": 1.0, "scale": "linear", "step": 0.0}]}','[]','{"evomerge": "1"}','[]',1);
CREATE TABLE score_block (
	run_id VARCHAR(32) NOT NULL, 
	candidate_id VARCHAR(255) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	split VARCHAR(16) NOT NULL, 
	metric VARCHAR(255) NOT NULL, 
	block INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	cache_key VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	reused BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id, candidate_id, task, split, metric, block)
);
INSERT INTO "score_block" VALUES('run1','0-0','near','search','hit',0,8,1,X'789C6360A00C000000400001','d7e6e9ea39e401a1e8e9f240a9ee98895177aedd6eda17231263ebad6bdc4dcc',1,0);
INSERT INTO "score_block" VALUES('run1','0-0','near','search','hit',1,8,1,X'789C6360A00C000000400001','2a4da7c53055be50734fb5f8937a55aaf6ca033918a7ef33068a861eee23b2d2',1,0);
INSERT INTO "score_block" VALUES('run1','0-0','near','search','hit',2,4,1,X'789C6360C0073ED80300023F0130','48e349a049551a2e3c369de2996131112ca4fee4078131574b7fea4cfd03ad90',1,0);
INSERT INTO "score_block" VALUES('run1','0-0','far','search','hit',0,8,1,X'789C636000810FF60C2834B1E0833D0081B5038E','919a5cd3f9989146ab62f6b64ae21e2797e47e6124bb0d32525ad3b153f337c2',1,0);
INSERT INTO "score_block" VALUES('run1','0-0','far','search','hit',1,8,1,X'789C6360C0063ED86315C6220F003D4E025F','c13e61c08ef7a3c6559f29da9f8ac2826dbac167d5bd59d3290c35c4443964b8',1,0);
INSERT INTO "score_block" VALUES('run1','0-0','far','search','hit',2,4,1,X'789C6360C0063ED8C368000DD6025F','4217182ef993975818f20bd8bedae40cf8e6b0ddc0cac263eb2437cd7a343fcf',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','near','search','hit',0,8,1,X'789C636000810FF60C786918C0940700FBD1084A','a4dc27e655f0526127f18b145948e96a9fc4f732a10a70c4b9446da9995710db',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','near','search','hit',1,8,1,X'789C636040061FECB1D3E800210F00A25B05EC','8f530946628015b9e7656d4783731a02dd25d4cdbbe364390da6084e7c86e04b',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','near','search','hit',2,4,1,X'789C636000810FF60C386800416C04BD','092ea2a2e5db14fa044642b40b9a40d3129615dce1357a5e383c32fe345142c0',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','far','search','hit',0,8,1,X'789C6360A00C000000400001','4795be93eddcf12324d2fb63dca0a55ff77223e78cff20fcb9f727ad8bb59f24',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','far','search','hit',1,8,1,X'789C6360A00C000000400001','bed69826c4d2841b3151e3866462820c0ff0a41326973d5cfaa3c1f5359be349',1,0);
INSERT INTO "score_block" VALUES('run1','0-1','far','search','hit',2,4,1,X'789C6360C00F0000200001','1285d641064a7faad0edd257f0831c71e263d9802d353c357243105db823edd4',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','near','search','hit',0,8,1,X'789C636000810FF60C28340CA0F3D1C53FD80300B54B05EC','260fac01acb4d9e4bb276c0b21ee734179b1507136895a1e2d578c3e49759d5f',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','near','search','hit',1,8,1,X'789C6360C0063ED8A3D2B8C5017A5C04BD','970382418fcc5332551626252e0f9bd1fc75b562fdb525b20e610bff2c4d6964',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','near','search','hit',2,4,1,X'789C636000810FF60C2800C6FF600F002C5D038E','4c4d7782f8545902ce0d578c2552c8e7efb155c59e6277b772c4eb6fe9905561',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','far','search','hit',0,8,1,X'789C6360C0063ED86315C6020031B70130','69c06480145ec3313d2d27fd9e15f83994fb2df97f84209a889c1dc344c42de4',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','far','search','hit',1,8,1,X'789C6360A00C000000400001','a53347528655c8a1c2601812114512ed6eadeedc4c40967945a7dc7902f37b92',1,0);
INSERT INTO "score_block" VALUES('run1','0-2','far','search','hit',2,4,1,X'789C6360C00F0000200001','9ef76e3d9db406e6c10e6269ac843f68d02400b1e43a087e6bdacc6d1b78cba8',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','near','search','hit',0,8,1,X'789C6360A00C000000400001','b9ecd74d17679c366dd1be2595a9b6f85eac6313d654d7c7f44ba0d148289664',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','near','search','hit',1,8,1,X'789C6360A00C000000400001','ae447807e4d960db11ed0a78b0847ddca13240101df71c3a8056f05eefa54491',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','near','search','hit',2,4,1,X'789C6360C0073ED80300023F0130','d6b06fe2780ab05de3d0f902ff604f3a10988798cb5f1a536a04accf00d000c2',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','far','search','hit',0,8,1,X'789C636000810FF60C586974802EFEC11E00C83B05EC','6e512cdc39105bada54a7b23bd58b9a3386209c3c38f5f344954df2842231734',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','far','search','hit',1,8,1,X'789C636040061FEC19880230751FEC0148E5038E','ddaa1d8db7c2e926db1794f166bd048671821df0749d3455bd4431bedbf1cb92',1,0);
INSERT INTO "score_block" VALUES('run1','0-3','far','search','hit',2,4,1,X'789C6360C0063ED8C358000BB70130','eb93995faf82a587b4f2a19bf9ad95b99a17c609d5541085b9faa02c412ce153',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','search','hit',0,8,1,X'789C636000810FF60C58014C1C5D1EC1070096C404BD','b883e5b0d4b067fccf949b0b46b3ed84b0e5f4bd517e9fbf857297002932bc61',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','search','hit',1,8,1,X'789C636000810FF60C2800C6272C0E00BEC305EC','65d37151b22776102f7a5338820d2fe7b7a91bc051de10173b2ecc60b7d0ad16',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','search','hit',2,4,1,X'789C636040061FEC19D0F800174E025F','e6cf023a50a1b68a634c0921b3eb553fa50b50e63b3a43f9c5f463a8e564cbe3',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','search','hit',0,8,1,X'789C636000810FF60C64D2001A670979','d92be17719ebe78dadb5430fd439f5459fe3ffa1a6d8a33bb8d6d014e4155f83',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','search','hit',1,8,1,X'789C636000810FF60C786918C0940700FBD1084A','1dda6201aee24e5e9e856372372fd821aab66be5b26578101d0bbcd3ca998efd',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','search','hit',2,4,1,X'789C636000810FF60C58690606003F4D038E','2a5b1db0c60430f7de1a61ff9270c8675b5b300bf857829b405d49514e2dcdd6',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','near','search','hit',0,8,1,X'789C636000810FF60C64D10C0C001848084A','94b4f38bdfa82bac9957dc2832db5bb9b6e8d8fef93e7c6d0f24d8e15295ab65',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','near','search','hit',1,8,1,X'789C636000810FF60C786918C0140700F9B2071B','8ffc66793362a221d1f3fe0b0e356dcc52e25ab6da752561e46b43e72e308515',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','near','search','hit',2,4,1,X'789C636000810FF60C58690606003F4D038E','c473721ceca35b7e3ee97ef15713f73ad83acfb1bb5c54ecce31158a05adc829',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','far','search','hit',0,8,1,X'789C6360A00C000000400001','43b2597dc2f51e50ccfb77caea471a97ffb0b694e3be76ba5d0ff62e253fcf3d',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','far','search','hit',1,8,1,X'789C6360A00C000000400001','ec16641e5072508fe9b9ecbd9c592255515894ea286c0054c52a4f92b9eea292',1,0);
INSERT INTO "score_block" VALUES('run1','0-5','far','search','hit',2,4,1,X'789C6360C00F0000200001','e3a810d1c3c656215e795ef3a67ecbe7df825289016e24546f4a52e34145b14c',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','near','search','hit',0,8,1,X'789C636000810FF60C440174751FEC015BD5038E','e86005385d665a1a6d825e4821845df535e3c8c1598b9e8556ee90b45cfc6633',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','near','search','hit',1,8,1,X'789C636020077CB087D1000DF6025F','7889ce7fd632634371dbec4b242d4b41234528938678cf79366924109e83a54b',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','near','search','hit',2,4,1,X'789C636040061FEC19D0F800174E025F','5c1cdf886cc2390b454d299755e047fa6c4134b60f9a42c6903a93b5131b9c05',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','far','search','hit',0,8,1,X'789C636000810FF60C58697480290E00C61C04BD','044a1e98ee132069269152b077c422691234ef904ff8e6c02f77c2523e7ce083',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','far','search','hit',1,8,1,X'789C636040061FEC1948021FEC013D4E025F','275dba67e5e85770960f8777afc0ca36f6c0d3385bd8b50d1222c79b6363e5a9',1,0);
INSERT INTO "score_block" VALUES('run1','1-0','far','search','hit',2,4,1,X'789C6360C00F0000200001','058d2425dc2c9d1d72ad695f7f580434cb93fdf68895d92b321cfdd99bace39e',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','near','search','hit',0,8,1,X'789C6360C0073ED8A3D2E8E20C0C00525D038E','18d56ee1c9caf797dc732579a460151171808347f07e43fbe9427d4304be2bff',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','near','search','hit',1,8,1,X'789C6360C0063ED8A3D2B8C5017A5C04BD','445e1cbce23c8ff9a8e57c5d22acd73c75b274547df99cd8a84205fded9586e4',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','near','search','hit',2,4,1,X'789C6360C0073ED80300023F0130','0b9687c71144fe11e5c80cb278d2a0e0854438091b701978c0c397e3a0d6620b',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','far','search','hit',0,8,1,X'789C636000810FF60C64D2001A670979','4324943e067b80d67055ac451c904a69a6072109d1901079b62e99f411fc4751',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','far','search','hit',1,8,1,X'789C636000810FF60C786918C0140700F9B2071B','d2085da8715e082e2122eb317e7bf059111db4166be8c4b47035a441fa708308',1,0);
INSERT INTO "score_block" VALUES('run1','1-1','far','search','hit',2,4,1,X'789C636000810FF60C2800C107002A3E025F','3aacfff96b43040f80285db0a4f3215ffebdd4dcf3279a6297e6dd60407d5d9a',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','search','hit',0,8,1,X'789C6360C0073ED8A3D2E8E20C0C00525D038E','d6e416ec62f846db0c2af3ff43f732b825a24082f59d6c07692bbb8d4aaf5a30',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','search','hit',1,8,1,X'789C6360C0063ED8A3D2B8C5017A5C04BD','d817c10254f38bc4873d4a6d008b3a07527525eee9baab849b15e9878941d9e0',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','search','hit',2,4,1,X'789C636040061FEC19D0F800174E025F','bf778bbf967669d2cd43d343ce84d5dcc110c9798b20de78397c3e340844451c',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','search','hit',0,8,1,X'789C636000810FF60C64D2001A670979','39a843c1bb33a33a88fa37e446626cc8ce9ed655ecbab164ed348f549cc8da5b',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','search','hit',1,8,1,X'789C636000810FF60C786918C0940700FBD1084A','9f3a59905cf1b477f8ec42fa0cd59af4f18686b79ce0941db41eae384355887c',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','search','hit',2,4,1,X'789C636000810FF60C58690606003F4D038E','650190077a0204621377b72f6b6dc2f8ad5fd425109dae101fc42e3a6fc9cafd',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','near','search','hit',0,8,1,X'789C636000810FF60C586918C02D0F00F03A071B','524e00506fef6e066e479f63139d22e28544ee8761de97efffc0222df2fdff81',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','near','search','hit',1,8,1,X'789C636000810FF60C28343A409747D000C0E2071B','21c526a4acdbd0293463024edbb46a6ee8bacc64559fb823966e8bb2147ae96e',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','near','search','hit',2,4,1,X'789C636040061FEC516906060020C6025F','b707b82aaf2d759c234e55ef60d0639cd38b468be1c064701085431a900327ac',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','far','search','hit',0,8,1,X'789C6360C0063ED86315C6020031B70130','0f6cb1fe820809fdedf8d9aa7504a15f6996e43430bc9f2f0e601698a6de0c39',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','far','search','hit',1,8,1,X'789C6360A00C000000400001','e19983c357d8563d0829397ca7d6885a3d280147ea8f359890986ed684e8a1a3',1,0);
INSERT INTO "score_block" VALUES('run1','1-3','far','search','hit',2,4,1,X'789C6360C00F0000200001','b0e4c4b2ee083dbc30e47ace64fe0a2c6e7e53deaa8021070ca700bd351eb947',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','near','search','hit',0,8,1,X'789C6360A00C000000400001','710bb57268887117ca0ae8416dcc2947bedffbdf7d3657269eb3abe2509c1b01',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','near','search','hit',1,8,1,X'789C6360A00C000000400001','1efebd272b447e8a41e95fe8d45709e741b978f7de967bd59acb1653fd3e7145',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','near','search','hit',2,4,1,X'789C6360C00F0000200001','d64ab9b79ea6542e1a4dde56eeab61f906cecb32fb462d1dfa30d53f5854d312',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','far','search','hit',0,8,1,X'789C6360A00C000000400001','cb04aac0fd80692c3989993fb1768e53add2fd8b70d06ba7fe4570a0c24da673',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','far','search','hit',1,8,1,X'789C6360A00C000000400001','6290c417226940d8839908131b0b803a1840da0639df10b2cfa3fd00ceabc482',1,0);
INSERT INTO "score_block" VALUES('run1','1-4','far','search','hit',2,4,1,X'789C6360C00F0000200001','9b90265d97177656897dffb1772840147afb76cc8a37d0afdc949e8d95b765a3',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','near','search','hit',0,8,1,X'789C6360A00C000000400001','4d41170da00e4179664796978294eb5a811d7a8f9456995351973a8ee8694412',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','near','search','hit',1,8,1,X'789C6360A00C000000400001','a42117e0dd5ea8fb0b3cc023e1ec3e05721bc36f6da7ba1bcdf030ee6a9eaf51',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','near','search','hit',2,4,1,X'789C636040061FEC19D00000152F0130','ee5c2c40dd8f871bc27dfc1bd6664056214d66c6ef3a83ebb7c94e3a9cdae29c',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','far','search','hit',0,8,1,X'789C636000810FF60C64D2001A670979','545f03a09c510f18a12377887b816f607b58675575a4fee6179e9f36835829c8',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','far','search','hit',1,8,1,X'789C636000810FF60C64D2001A670979','fa1cc2d05df2f5d369c6a382488820cd9cbc2722f2034e3986aa5ee5545e3ccf',1,0);
INSERT INTO "score_block" VALUES('run1','1-5','far','search','hit',2,4,1,X'789C636000810FF60C58690606003F4D038E','beff953ea0e4729f455a80d2ca0f8929148a2cb57422f045b7095193fe120e63',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','validation','hit',0,8,1,X'789C636000810FF60C64D2001A670979','84d73ed2261d994efd404e680e75af42e5e3317bb415c7b10f4bea1d022d092a',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','validation','hit',1,8,1,X'789C636040061FECB1D3E800210F00A25B05EC','0ba978677b5df432af0f876cb3e489f528ed7feb820d26f2d0454b759ea91c7c',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','near','validation','hit',2,4,1,X'789C6360C0073ED80300023F0130','cba09c882791979035c049ac3c4e0e5738f2915f648a45bb90e1a5100c6f9236',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','validation','hit',0,8,1,X'789C636000810FF60C2800C6274433300000DD4A071B','97e0c228b2051b4dae3bc29c83c8dc8d582957edfc10f6b1346389268a5a01db',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','validation','hit',1,8,1,X'789C636000810FF60C586918C025FFC11E00F259084A','2ef75a42eb19f0471c8943a242eeed11f2ce80cfbdc0a564d7107dc8cf56940c',1,0);
INSERT INTO "score_block" VALUES('run1','0-4','far','validation','hit',2,4,1,X'789C636000810FF60C386800416C04BD','2ffd897787135bac003c721ff38dd9ed8f09412df89439b9ae509346445844bb',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','validation','hit',0,8,1,X'789C636000810FF60C2800C6C74523D40100D3D2071B','c1969cd61541c517c1e3ad0507ce22815d8429bb5c3a2c3a7e5c848d99e7c0f3',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','validation','hit',1,8,1,X'789C6360C0063ED8A3D2B8C0077B005BD5038E','480a46519676eac6f4576d8a4c747717df21d2d36b946de59d6cfcccde983e7c',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','near','validation','hit',2,4,1,X'789C6360C00F0000200001','6fde8ea02c5138b27403cce47ac0ee3f7377d636ed584fd8ce89a28f46c09f9b',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','validation','hit',0,8,1,X'789C636000810FF60C2800C6274433300000DD4A071B','b0779b611dae6c088978105d2a9e1e2a7bc3c1d215ae38b374c2e8f10e096c31',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','validation','hit',1,8,1,X'789C636000810FF60C24D130F0C11E000ED0084A','c305f2e4df868382917b5917c1a2c3fe67f7c435b9123e184abc246f081b558c',1,0);
INSERT INTO "score_block" VALUES('run1','1-2','far','validation','hit',2,4,1,X'789C636000810FF60C386800416C04BD','949bd67f8960a51ddcb6b33e8d19678f45e7685c7e89999aeb2e50d7d5513235',1,0);
CREATE INDEX score_block_by_cache_key ON score_block (cache_key);
COMMIT;
